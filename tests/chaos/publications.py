"""Loses some of the messages that Valkey publishes to a subscriber, whole ones only. No I/O."""

from collections.abc import Callable

CHANNELS = b"axon:relay:"
_LINE_END = b"\r\n"
_AGGREGATES = {b"*": 1, b">": 1, b"~": 1, b"%": 2}
_STRINGS = (b"$", b"=")


class PublicationFilter:
    """Stands in one connection; nothing is changed before its client subscribes.

    Parameters
    ----------
    lost : Callable[[], bool]
        Asked for each message to a relay.
    """

    def __init__(self, lost: Callable[[], bool]) -> None:
        self._lost = lost
        self._subscribed = False
        self._buffer = b""

    def sent(self, data: bytes) -> bytes:
        """Return what the client sends, unchanged."""
        self._subscribed = self._subscribed or b"SUBSCRIBE" in data
        return data

    def received(self, data: bytes) -> bytes:
        """Return the server's data that is passed on; half a message waits for its rest."""
        if not self._subscribed:
            return data
        self._buffer += data
        kept, start = [], 0
        while (end := _end(self._buffer, start)) is not None:
            value = self._buffer[start:end]
            if not (_is_publication(value) and self._lost()):
                kept.append(value)
            start = end
        self._buffer = self._buffer[start:]
        return b"".join(kept)


def _is_publication(value: bytes) -> bool:
    head, _, channel = value[:256].partition(b"$7\r\nmessage\r\n")
    return bool(channel) and head[:1] in _AGGREGATES and CHANNELS in channel.split(_LINE_END)[1]


def _end(data: bytes, start: int) -> int | None:
    """Return where the value (RESP) that begins at `start` ends; None if it is not complete."""
    stop = data.find(_LINE_END, start)
    if stop < 0:
        return None
    kind, head, end = data[start : start + 1], data[start + 1 : stop], stop + 2
    if kind in _STRINGS:
        end += max(int(head) + 2, 0)
        return end if end <= len(data) else None
    for _ in range(int(head) * _AGGREGATES[kind] if kind in _AGGREGATES else 0):
        inner = _end(data, end)
        if inner is None:
            return None
        end = inner
    return end
