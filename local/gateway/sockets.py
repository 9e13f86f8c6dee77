"""WebSocket connections of clients, with API Gateway's limits on frames."""

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
    """One client's connection.

    Parameters
    ----------
    protocol : ServerProtocol
        The library's own, of which the logger is used.
    server : Server
        The library's server, which counts the connection.
    limits : Limits
        Sizes of frames and messages.
    options : Any
        The library's options of a connection.
    """

    def __init__(
        self, protocol: ServerProtocol, server: Server, *, limits: Limits, **options: Any
    ) -> None:
        limited = _FrameLimitedProtocol(limits=limits, logger=protocol.logger)
        super().__init__(limited, server, **options)

    def closed_with(self) -> Close:
        """Return the first of the two close frames: the one that ended the connection."""
        if self.protocol.close_rcvd_then_sent is False:
            return self.protocol.close_sent or _ABNORMAL
        return self.protocol.close_rcvd or self.protocol.close_sent or _ABNORMAL
