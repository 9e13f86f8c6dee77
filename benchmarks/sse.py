"""Parser of HTTP/1.1 responses that stream server-sent events, without I/O."""

from worker.engines.openai.sse import EventReader

_SPLIT = b"\r\n"


class HttpStreamError(Exception):
    """The peer did not send a successful, chunked or sized HTTP/1.1 response."""


class ResponseParser:
    """Parses the responses of one keep-alive connection.

    Attributes
    ----------
    ended : bool
        True from the last byte of a response to the head of the next.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._events = EventReader()
        self._in_body = False
        self._remaining: int | None = None
        self._status = 0
        self._refusal = b""
        self.ended = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of the events that `data` completes.

        Raises
        ------
        HttpStreamError
            The status is not 200, or the body has no known length.
        """
        self._buffer += data
        if not self._in_body and not self._read_head():
            return []
        body = self._read_chunks() if self._remaining is None else self._read_sized()
        if self._status == 200:
            return list(self._events.feed(body))
        self._refusal += body
        if self.ended:
            raise HttpStreamError(f"status {self._status}: {self._refusal[:300]!r}")
        return []

    def _read_head(self) -> bool:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return False
        status_line, *lines = head.split(_SPLIT)
        fields = dict(line.lower().split(b":", 1) for line in lines)
        self._status = int(status_line.split(b" ", 2)[1])
        self._remaining = None
        if b"chunked" not in fields.get(b"transfer-encoding", b""):
            if b"content-length" not in fields:
                raise HttpStreamError(f"status {self._status}, a body of unknown length")
            self._remaining = int(fields[b"content-length"])
        self._buffer, self._in_body, self.ended = rest, True, False
        self._events = EventReader()
        return True

    def _read_sized(self) -> bytes:
        assert self._remaining is not None
        body, self._buffer = self._buffer[: self._remaining], self._buffer[self._remaining :]
        self._remaining -= len(body)
        if self._remaining == 0:
            self._end()
        return body

    def _read_chunks(self) -> bytes:
        parts, position, buffer = [], 0, self._buffer
        while (end := buffer.find(_SPLIT, position)) >= 0:
            size = int(buffer[position:end].split(b";", 1)[0], 16)
            start, stop = end + 2, end + 2 + size
            if len(buffer) < stop + 2:
                break
            parts.append(buffer[start:stop])
            position = stop + 2
            if size == 0:
                self._end()
                break
        self._buffer = buffer[position:]
        return b"".join(parts)

    def _end(self) -> None:
        self._in_body, self.ended = False, True
