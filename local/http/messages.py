"""Parses and serializes HTTP/1.1 messages, without I/O.

The control planes here pass thousands of small keep-alive requests a second between processes that
trust each other on the loopback interface; a general library costs several times as much for each.
Bodies have a Content-Length.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 16 * 1024 * 1024

_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `target` is the path and query as sent, header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool = True


@dataclass(frozen=True, slots=True)
class Response:
    """One response; a received one has its header names in lower case."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    keep_alive: bool = True

    def serialize(self) -> bytes:
        """Return the bytes to send, with the Content-Length."""
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("latin-1") + self.body


class MalformedMessageError(Exception):
    """The connection must be closed; a server answers with `status` first."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Head:
    start: tuple[str, str, str]
    headers: dict[str, str]
    body_bytes: int

    def keep_alive(self, version: str) -> bool:
        return version == "HTTP/1.1" and self.headers.get("connection", "").lower() != "close"


class _MessageParser:
    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: _Head | None = None

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data

    def _next(self) -> tuple[_Head, bytes] | None:
        head = self._head = self._head or self._take_head()
        if head is None or len(self._buffer) < head.body_bytes:
            return None
        body = bytes(self._buffer[: head.body_bytes])
        del self._buffer[: head.body_bytes]
        self._head = None
        return head, body

    def _take_head(self) -> _Head | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 and len(self._buffer) <= MAX_HEAD_BYTES:
            return None
        if end < 0 or end > MAX_HEAD_BYTES:
            raise MalformedMessageError(431, "the head is too large")
        text = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 4]
        return _parse_head(text)


class RequestParser(_MessageParser):
    """Turns received bytes into requests."""

    def next_request(self) -> Request | None:
        """Return the next complete request, or None until more bytes come.

        Raises
        ------
        MalformedMessageError
            These bytes are not a request that is served here.
        """
        found = self._next()
        if found is None:
            return None
        head, body = found
        method, target, version = head.start
        return Request(method, target, head.headers, body, head.keep_alive(version))


class ResponseParser(_MessageParser):
    """Turns received bytes into responses, those of HEAD excepted."""

    def next_response(self) -> Response | None:
        """Return the next complete response, or None until more bytes come.

        Raises
        ------
        MalformedMessageError
            These bytes are not a response.
        """
        found = self._next()
        if found is None:
            return None
        head, body = found
        version, status, _ = head.start
        if not (len(status) == 3 and status.isdecimal()):
            raise MalformedMessageError(502, "malformed status line")
        return Response(int(status), body, head.headers, head.keep_alive(version))


def _parse_head(text: str) -> _Head:
    start, *lines = text.split("\r\n")
    words = start.split(" ", 2)
    if len(words) != 3:
        raise MalformedMessageError(400, "malformed start line")
    headers: dict[str, str] = {}
    for line in lines:
        name, separator, value = line.partition(":")
        if not separator:
            raise MalformedMessageError(400, "malformed header")
        headers[name.lower()] = value.strip()
    return _Head((words[0], words[1], words[2]), headers, _body_bytes(headers))


def _body_bytes(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise MalformedMessageError(411, "only Content-Length is understood")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdecimal()):
        raise MalformedMessageError(400, "malformed Content-Length")
    if int(length) > MAX_BODY_BYTES:
        raise MalformedMessageError(413, "the body is too large")
    return int(length)
