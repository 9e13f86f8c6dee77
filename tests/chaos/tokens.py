"""The tokens that engines have generated, in files that outlive a SIGKILL of their worker.

A worker writes through shared memory, a record for each attempt; the harness reads.
"""

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from worker.engines.protocol import GenerateRequest

FOLDER_VARIABLE = "CHAOS_TOKENS"
SIZE = 1 << 20
_RECORD = struct.Struct("<48sIII4x")


@dataclass(frozen=True, slots=True)
class Attempt:
    """The tokens that one attempt made after the `first` that earlier ones had made.

    `running` if its engine has not come to an end with it.
    """

    response_id: str
    epoch: int
    first: int
    tokens: int
    running: bool


class TokenFile:
    """The file of one worker process."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        os.ftruncate(descriptor, SIZE)
        self._map = mmap.mmap(descriptor, SIZE)
        os.close(descriptor)
        self._next = 0

    def begin(self) -> int:
        """Return the place of a new record."""
        place, self._next = self._next, self._next + _RECORD.size
        return place

    def note(self, place: int, request: GenerateRequest, *, tokens: int, running: bool) -> None:
        """Write an attempt's record."""
        first = len(request.generated_token_ids)
        _RECORD.pack_into(self._map, place, request.request_id.encode(), first, tokens, running)


def attempts(folder: Path, name: str = "*") -> Iterator[Attempt]:
    """Return the attempts of the worker processes whose files, `<worker>.<pid>`, match `name`."""
    for path in sorted(folder.glob(name)):
        for request_id, first, tokens, running in _RECORD.iter_unpack(path.read_bytes()):
            if not request_id[0]:
                break
            response_id, _, epoch = request_id.rstrip(b"\0").decode().rpartition("-")
            yield Attempt(response_id, int(epoch), first, tokens, bool(running))
