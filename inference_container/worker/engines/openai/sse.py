"""Server-sent events, from bytes to their data."""

from collections.abc import Iterator

_MOST_BYTES = 1 << 20


class EventReader:
    """Cuts a stream of bytes into the data of its events; other fields and comments are dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the events that these bytes complete; ``ValueError`` for one above 1 MiB."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MOST_BYTES:
            raise ValueError("an event is larger than 1 MiB")
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                yield b"\n".join(self._data)
                self._data.clear()
