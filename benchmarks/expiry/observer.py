"""Observer: notes when each end was published, at next to no cost for the machine."""

import re
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from types import TracebackType
from typing import Self

_CHUNK = 1 << 20
_END = re.compile(rb"(resp_\w+) \S+ \d+ T!?\n")
"""The header of a publication with a response's last events (`publish.lua`)."""


class Observer:
    """Subscribes to relays' channels; keeps what arrives as it is, with the time, until the end.

    Parameters
    ----------
    port : int
        Port of Valkey on the loopback address.
    channels : Sequence[str]
        The relays' channels.
    """

    def __init__(self, *, port: int, channels: Sequence[str]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(f"SUBSCRIBE {' '.join(channels)}\r\n".encode())
        self._chunks: list[tuple[float, bytes]] = []
        self._thread = threading.Thread(target=self._receive, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def ends(self) -> dict[str, list[float]]:
        """Return the times (seconds of the Unix epoch) at which each response's end arrived."""
        ends: dict[str, list[float]] = defaultdict(list)
        rest = b""
        for moment, chunk in self._chunks:
            data = rest + chunk
            last = 0
            for match in _END.finditer(data):
                ends[match[1].decode()].append(moment)
                last = match.end()
            # A header may lie across two chunks; it is shorter than this.
            rest = data[max(last, len(data) - 200) :]
        return ends

    def _receive(self) -> None:
        while chunk := self._socket.recv(_CHUNK):
            self._chunks.append((time.time(), chunk))
