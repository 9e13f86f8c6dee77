"""The client port's sockets: WebSocket connections with API Gateway's limits on frames."""

import json
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection
from websockets.datastructures import Headers
from websockets.frames import Close
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.typing import LoggerLike

from local.gateway.config import Limits

_LINGER_S = 1.0
_ABNORMAL = Close(1006, "Connection Closed Abnormally")


def reason_phrase(status: int) -> str:
    """Return the standard phrase of an HTTP status, or ``Unknown``."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def json_response(status: int, body: dict[str, Any]) -> Response:
    """Return an HTTP response that closes the connection."""
    content = json.dumps(body).encode()
    headers = Headers(
        {
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "Connection": "close",
        }
    )
    return Response(status, reason_phrase(status), headers, content)


def upgrade_required(target: str) -> Response:
    """Return the answer to a plain HTTP request, in the form of OpenAI's errors."""
    error = {
        "message": f"{target} is served over WebSocket only: connect with ws://, not http://",
        "type": "invalid_request_error",
        "param": None,
        "code": "upgrade_required",
    }
    response = json_response(426, {"error": error})
    response.headers["Upgrade"] = "websocket"
    return response


class _FrameLimitedProtocol(ServerProtocol):
    """Limits the size of frames as well as of messages.

    The library compares `max_size` with a message's size so far plus the next frame.
    """

    def __init__(self, *, limits: Limits, logger: LoggerLike) -> None:
        self._limits = limits
        super().__init__(max_size=limits.message_bytes, logger=logger)

    @property
    def max_size(self) -> int:
        received = self.cur_size or 0
        return min(received + self._limits.frame_bytes, self._limits.message_bytes)

    @max_size.setter
    def max_size(self, value: int | None) -> None:
        """Ignore the value, which the library's constructor assigns: the limits are fixed."""


class GatewaySocket(ServerConnection):
    """One client's connection; plain HTTP requests on it are answered, too."""

    limits: Limits

    def __init__(self, protocol: ServerProtocol, server: Server, **options: Any) -> None:
        limited = _FrameLimitedProtocol(limits=self.limits, logger=protocol.logger)
        super().__init__(limited, server, **options)
        self._plain_http: bool | None = None

    def data_received(self, data: bytes) -> None:
        """Pass bytes to the library, or answer a request whose method is not GET.

        The library's parser accepts GET only, and would close the connection without an answer.
        """
        if self._plain_http is None:
            self._plain_http = not b"GET ".startswith(data[:4])
            if self._plain_http:
                self._refuse(data)
        if not self._plain_http:
            super().data_received(data)

    def _refuse(self, data: bytes) -> None:
        words = data.split(b"\r\n", 1)[0].split(b" ")
        target = words[1].decode("latin-1") if len(words) > 1 else "this address"
        self.transport.write(upgrade_required(target).serialize())
        # Closing with unread data would reset the connection before the client reads the answer.
        self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.abort)

    def closed_with(self) -> Close:
        """Return the first of the two close frames: the one that ended the connection."""
        if self.protocol.close_rcvd_then_sent is False:
            return self.protocol.close_sent or _ABNORMAL
        return self.protocol.close_rcvd or self.protocol.close_sent or _ABNORMAL


def socket_class(limits: Limits) -> type[GatewaySocket]:
    """Return the class of sockets with these limits, for the library to instantiate."""
    return type("LimitedGatewaySocket", (GatewaySocket,), {"limits": limits})
