"""An HTTP server with one handler and keep-alive connections, on the loopback interface only."""

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from local.http.access import Access
from local.http.messages import MalformedMessageError, Request, RequestParser, Response

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"

Answer = Response | asyncio.Future[Response]
Handler = Callable[[Request], Answer]
"""Answers at once, or with a future, which is cancelled when the client disconnects first."""


class HttpServer:
    """Serves one handler on one port.

    Parameters
    ----------
    handler : Handler
        Answers the requests that `access` lets pass.
    access : Access | None
        By default it refuses web pages and other machines' names, and asks for no token.
    """

    def __init__(self, *, handler: Handler, access: Access | None = None) -> None:
        self.handler = handler
        self.access = access or Access()
        self.connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, *, port: int = 0) -> int:
        """Listen on `port` of the loopback interface (0: any) and return the port.

        Raises
        ------
        OSError
            The port is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), HOST, port, backlog=1024)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def stop_listening(self) -> None:
        """Refuse new connections; open ones stay."""
        if self._server is not None:
            self._server.close()

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self.stop_listening()
        for connection in tuple(self.connections):
            connection.close()


class _Connection(asyncio.Protocol):
    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = RequestParser()
        self._pending: asyncio.Future[Response] | None = None
        self._transport: asyncio.Transport | None = None
        self._keep_alive = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        self._server.connections.discard(self)
        if self._pending is not None:
            self._pending.cancel()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        self._serve()

    def _serve(self) -> None:
        """Answer the requests received so far, in order, until one has to wait."""
        while self._pending is None and self._transport is not None and self._keep_alive:
            try:
                request = self._parser.next_request()
            except MalformedMessageError as error:
                self._keep_alive = False
                self._write(Response(error.status, str(error).encode()))
                return
            if request is None:
                return
            self._answer(request)

    def _answer(self, request: Request) -> None:
        self._keep_alive = request.keep_alive
        refusal = self._server.access.refusal(request.target, request.headers)
        answer = refusal or self._handle(request)
        if isinstance(answer, Response):
            self._write(answer)
        else:
            self._pending = answer
            answer.add_done_callback(self._on_answered)

    def _handle(self, request: Request) -> Answer:
        try:
            return self._server.handler(request)
        except Exception:
            # Without the target, which may have a secret in it.
            logger.exception("a %s request failed", request.method)
            return Response(500)

    def _on_answered(self, answer: asyncio.Future[Response]) -> None:
        self._pending = None
        if answer.cancelled():
            self.close()
            return
        error = answer.exception()
        if error is not None:
            logger.error("a request failed", exc_info=error)
        self._write(Response(500) if error else answer.result())
        self._serve()

    def _write(self, response: Response) -> None:
        if self._transport is None:
            return
        self._transport.write(response.serialize())
        if not self._keep_alive:
            self._transport.close()
