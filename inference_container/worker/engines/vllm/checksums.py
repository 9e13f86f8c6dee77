"""Checksums of files in S3 and of their local copies."""

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from worker.engines.protocol import EngineError

_CHUNK_BYTES = 2**20
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


class Hash(Protocol):
    """A checksum in progress, as in `hashlib`."""

    def update(self, data: bytes, /) -> None:
        """Continue with these bytes."""

    def digest(self) -> bytes:
        """Return the checksum of the bytes so far."""


class _Crc:
    """A CRC whose implementation continues after the value of what precedes."""

    def __init__(self, crc: Callable[[bytes, int], int], *, size: int) -> None:
        self._crc = crc
        self._size = size
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._crc(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def _aws_crc(name: str, *, size: int) -> _Crc:
    """Return a CRC of AWS's own library, which takes 0.5 s a GB; Python would take minutes."""
    try:
        from awscrt import checksums
    except ImportError as error:
        raise EngineError(
            f"checking the {name.upper()} of a model needs the package awscrt: install "
            "axon[weights]"
        ) from error
    return _Crc(getattr(checksums, name), size=size)


# The fastest first: an object may have several.
_ALGORITHMS: Mapping[str, Callable[[], Hash]] = {
    "CRC64NVME": lambda: _aws_crc("crc64nvme", size=8),
    "CRC32C": lambda: _aws_crc("crc32c", size=4),
    "CRC32": lambda: _Crc(zlib.crc32, size=4),
    "SHA256": hashlib.sha256,
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "MD5": lambda: hashlib.md5(usedforsecurity=False),
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
        None if there is none of the whole object: only one of the parts' checksums (``...-5``, of
        a multipart upload: multipart.py), or none at all.
    """
    for algorithm in _ALGORITHMS:
        value = head.get(f"Checksum{algorithm}")
        if value and "-" not in value:
            return Checksum(algorithm, value)
    return _md5_of(head)


def _md5_of(head: Mapping[str, Any]) -> Checksum | None:
    """Return the MD5 that the ETag of an object is, if it was put at once and without KMS."""
    etag = _MD5.fullmatch(head.get("ETag", ""))
    if etag is None or not has_md5_etag(head):
        return None
    return Checksum("MD5", base64.b64encode(bytes.fromhex(etag[1])).decode())


def has_md5_etag(head: Mapping[str, Any]) -> bool:
    """Return whether the ETag of an object comes from the MD5 of its contents (or its parts').

    Not with keys of KMS or of the customer, whose ETags say nothing about the contents.
    """
    encryption = head.get("ServerSideEncryption", "AES256")
    return encryption == "AES256" and "SSECustomerAlgorithm" not in head


def hash_of(algorithm: str) -> Hash:
    """Return a new hash of this algorithm.

    Raises
    ------
    EngineError
        The package for this algorithm is not installed.
    """
    return _ALGORITHMS[algorithm]()


def digest_of_range(file: BinaryIO, algorithm: str, *, start: int, size: int) -> bytes:
    """Return the checksum of `size` bytes of a file, or of fewer if it ends before.

    Raises
    ------
    EngineError
        The package for this algorithm is not installed.
    """
    hasher = hash_of(algorithm)
    file.seek(start)
    return _digest(hasher, file, size)


def compute(file: Path, algorithm: str) -> str:
    """Return the checksum of a file in base64.

    Raises
    ------
    EngineError
        The package for this algorithm is not installed.
    """
    hasher = hash_of(algorithm)
    with file.open("rb") as opened:
        digest = _digest(hasher, opened, file.stat().st_size)
    return base64.b64encode(digest).decode()


def _digest(hasher: Hash, file: BinaryIO, size: int) -> bytes:
    while chunk := file.read(min(size, _CHUNK_BYTES)):
        hasher.update(chunk)
        size -= len(chunk)
    return hasher.digest()
