"""An HTTP/1.1 client for the loopback services: keep-alive connections to one address.

Every invocation of a function and every poll of a queue uses it; a general client costs four times
its CPU time.
"""

import asyncio
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

from local.http.access import TOKEN_HEADER
from local.http.messages import MalformedMessageError, Response, ResponseParser


class HttpClientError(Exception):
    """No response arrived; the request may or may not have been carried out."""


class NotConnectedError(HttpClientError):
    """No connection could be made, so that nothing was sent."""


class HttpClient:
    """Sends each request to `endpoint` on a free connection, or on a new one.

    Parameters
    ----------
    endpoint : str
        ``http://host:port``.
    token : str | None
        Session token that goes with each request, as AWS clients send it.
    max_connections : int
        Further requests wait, so that a flood of them does not use up file descriptors.
    """

    def __init__(
        self, *, endpoint: str, token: str | None = None, max_connections: int = 1024
    ) -> None:
        parts = urlsplit(endpoint)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._authority = parts.netloc
        self._head = f"Host: {self._authority}"
        if token is not None:
            self._head += f"\r\n{TOKEN_HEADER}: {token}"
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(max_connections)

    async def request(
        self, method: str, target: str, *, body: bytes, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return the response; cancelling this closes its connection.

        Raises
        ------
        NotConnectedError
            No server listens at the endpoint.
        HttpClientError
            The connection broke.
        """
        lines = [f"{method} {target} HTTP/1.1", self._head]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines.append(f"Content-Length: {len(body)}\r\n\r\n")
        async with self._slots:
            return await self._exchange("\r\n".join(lines).encode() + body)

    async def _exchange(self, request: bytes) -> Response:
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            response = await connection.exchange(request)
        # Cancellation included: a late response would be taken for that of the next request.
        except BaseException:
            connection.close()
            raise
        if connection.open:
            self._idle.append(connection)
        return response

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(self._idle), self._host, self._port
            )
        except OSError as error:
            raise NotConnectedError(f"{self._authority}: {error}") from error
        return connection

    def close(self) -> None:
        """Close the connections that are not in use."""
        for connection in tuple(self._idle):
            connection.close()


class _Connection(asyncio.Protocol):
    def __init__(self, idle: "list[_Connection]") -> None:
        self._idle = idle
        self._parser = ResponseParser()
        self._response: asyncio.Future[Response] | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> Response:
        if self._transport is None:
            raise HttpClientError("the connection is closed")
        self._response = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._response

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        try:
            response = self._parser.next_response()
        except MalformedMessageError as error:
            self._fail(HttpClientError(f"malformed response: {error}"))
            self.close()
            return
        if response is None:
            return
        if not response.keep_alive:
            self.close()
        if self._response is not None and not self._response.done():
            self._response.set_result(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self in self._idle:
            self._idle.remove(self)
        self._fail(HttpClientError(f"the connection broke: {exc or 'closed by the server'}"))

    def _fail(self, error: HttpClientError) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_exception(error)
