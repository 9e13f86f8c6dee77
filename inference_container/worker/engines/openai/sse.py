"""Parser of server-sent events (WHATWG HTML, section 9.2), without I/O."""

from collections.abc import Iterator

_MAX_BYTES = 1 << 20


class EventReader:
    """Returns the data of events from a stream of bytes; other fields and comments are dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the data of the events that these bytes complete.

        Raises
        ------
        ValueError
            A line exceeds 1 MiB.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_BYTES:
            raise ValueError("an event is larger than 1 MiB")
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                yield b"\n".join(self._data)
                self._data.clear()
