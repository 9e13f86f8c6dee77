import base64
import hashlib
import zlib
from pathlib import Path

import pytest

from worker.engines.vllm.checksums import Checksum, checksum_of, compute

CONTENT = b"weights" * 300_000


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("SHA256", hashlib.sha256(CONTENT).digest()),
        ("SHA1", hashlib.sha1(CONTENT).digest()),
        ("CRC32", zlib.crc32(CONTENT).to_bytes(4, "big")),
    ],
)
def test_checksums_equal_those_of_s3(tmp_path: Path, algorithm: str, digest: bytes) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(CONTENT)
    value = base64.b64encode(digest).decode()
    found = checksum_of({f"Checksum{algorithm}": value, "ContentLength": len(CONTENT)})
    assert found == Checksum(algorithm, value)
    assert compute(file, algorithm) == value


@pytest.mark.parametrize(
    "head", [{}, {"ChecksumCRC32": "AAAAAA==-5"}, {"ChecksumCRC64NVME": "AAAAAAAAAAA="}]
)
def test_checksum_of_returns_none_if_it_cannot_be_compared(head: dict[str, str]) -> None:
    assert checksum_of(head) is None
