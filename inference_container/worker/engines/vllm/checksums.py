"""What S3 knows of a file's content, and the same of the file that arrived."""

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

_CHUNK = 2**20


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Running(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


_ALGORITHMS: Mapping[str, Callable[[], _Running]] = {
    "SHA256": hashlib.sha256,
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "CRC32": _Crc32,
}


@dataclass(frozen=True, slots=True)
class Checksum:
    """In base64, as S3 writes it."""

    algorithm: str
    value: str


def checksum_of(head: Mapping[str, Any]) -> Checksum | None:
    """Return the checksum in the answer of ``head_object``.

    None if there is none, or only one of the parts' checksums (``...-5``), or of an algorithm that
    would take minutes here (CRC64NVME, CRC32C).
    """
    for algorithm in _ALGORITHMS:
        value = head.get(f"Checksum{algorithm}")
        if value and "-" not in value:
            return Checksum(algorithm, value)
    return None


def computed(file: Path, algorithm: str) -> str:
    """Return the file's checksum."""
    running = _ALGORITHMS[algorithm]()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            running.update(chunk)
    return base64.b64encode(running.digest()).decode()
