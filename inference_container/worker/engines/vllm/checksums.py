"""Checksums of files in S3 and of their local copies."""

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

_CHUNK_BYTES = 2**20


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


_ALGORITHMS: Mapping[str, Callable[[], _Hash]] = {
    "SHA256": hashlib.sha256,
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "CRC32": _Crc32,
}


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum in base64, as S3 returns it."""

    algorithm: str
    value: str


def checksum_of(head: Mapping[str, Any]) -> Checksum | None:
    """Return the checksum in a response of ``head_object``.

    Returns
    -------
    Checksum | None
        None if there is none, only a checksum of the parts' checksums (``...-5``, of a multipart
        upload), or one of an algorithm that takes minutes in Python (CRC64NVME, CRC32C).
    """
    for algorithm in _ALGORITHMS:
        value = head.get(f"Checksum{algorithm}")
        if value and "-" not in value:
            return Checksum(algorithm, value)
    return None


def compute(file: Path, algorithm: str) -> str:
    """Return the checksum of a file in base64."""
    hasher = _ALGORITHMS[algorithm]()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return base64.b64encode(hasher.digest()).decode()
