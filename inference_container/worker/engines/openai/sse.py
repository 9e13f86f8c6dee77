"""Parser of server-sent events (WHATWG HTML, section 9.2), without I/O."""

from collections.abc import Iterator

from worker.engines.openai.shapes import ShapeError

_MAX_BYTES = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIELDS = (b"event", b"id", b"retry")


class EventReader:
    """Returns the data of events from a stream of bytes; other fields and comments are dropped.

    Lines end with LF, CR or CRLF, whatever pieces the bytes arrive in.
    """

    def __init__(self) -> None:
        self._unknown_line = False
        self._any_event = False
        self._line: list[bytes] = []
        self._line_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._first_line = True
        self._after_cr = False

    @property
    def foreign(self) -> bool:
        """Return whether the stream has lines of unknown fields, as HTML and JSON, and no event.

        In a stream with events the standard ignores unknown fields.
        """
        return self._unknown_line and not self._any_event

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the data of the events that these bytes complete.

        Raises
        ------
        ShapeError
            A line or an event exceeds 1 MiB.
        """
        if self._after_cr:  # the LF of a CRLF that two pieces share ends no second line
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        for piece in data.splitlines(keepends=True):
            line = piece.rstrip(b"\r\n")
            self._line.append(line)
            self._line_bytes += len(line)
            if self._line_bytes > _MAX_BYTES:
                raise ShapeError("the stream", "has a line of more than 1 MiB")
            if len(line) < len(piece):
                yield from self._end_line()

    def rest(self) -> bytes | None:
        """Return the data of an event that the end of the stream has cut, None if there is none.

        The standard drops it. Some servers forget the empty line behind their last event.
        """
        *_, data = (None, *self._end_line(), *self._end_event())
        return data

    def _end_line(self) -> Iterator[bytes]:
        line = b"".join(self._line)
        self._line.clear()
        self._line_bytes = 0
        if self._first_line:
            self._first_line, line = False, line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            yield from self._end_event()
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._add_data(value.removeprefix(b" "))
        elif name and name not in _FIELDS:  # a comment has no name
            self._unknown_line = True

    def _add_data(self, value: bytes) -> None:
        self._data.append(value)
        self._data_bytes += len(value)
        if self._data_bytes > _MAX_BYTES:
            raise ShapeError("the stream", "has an event of more than 1 MiB")

    def _end_event(self) -> Iterator[bytes]:
        data = b"\n".join(self._data).strip()
        self._data.clear()
        self._data_bytes = 0
        if data:
            self._any_event = True
            yield data
