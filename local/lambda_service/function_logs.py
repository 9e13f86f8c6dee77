"""Prefixes the output of functions with their names, line by line."""

from typing import BinaryIO

_MAX_LINE_BYTES = 64 * 1024


class PrefixedLines:
    """Writes whole lines to `sink`, each with a prefix."""

    def __init__(self, *, prefix: str, sink: BinaryIO) -> None:
        self._prefix = prefix.encode()
        self._sink = sink
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Add output; complete lines are written at once."""
        # The runtime client separates a traceback's lines by carriage returns.
        *lines, self._rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        if len(self._rest) > _MAX_LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        if lines:
            self._sink.write(b"".join(self._prefix + line + b"\n" for line in lines))
            self._sink.flush()

    def close(self) -> None:
        """Write the last line, if it has no line end."""
        if self._rest:
            self.feed(b"\n")
