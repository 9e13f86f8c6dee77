import base64
import hashlib
import sys
import zlib
from pathlib import Path

import pytest

from worker.engines.protocol import EngineError
from worker.engines.vllm.checksums import Checksum, checksum_of, compute

CONTENT = b"weights" * 300_000
# By a table of 256 entries, from the polynomials of NVMe and of iSCSI.
CRC64, CRC32C = "47e128d1719003aa", "b7c278d5"


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("SHA256", hashlib.sha256(CONTENT).digest()),
        ("SHA1", hashlib.sha1(CONTENT).digest()),
        ("CRC32", zlib.crc32(CONTENT).to_bytes(4, "big")),
        ("CRC64NVME", bytes.fromhex(CRC64)),
        ("CRC32C", bytes.fromhex(CRC32C)),
    ],
)
def test_checksums_equal_those_of_s3(tmp_path: Path, algorithm: str, digest: bytes) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(CONTENT)
    value = base64.b64encode(digest).decode()
    found = checksum_of({f"Checksum{algorithm}": value, "ContentLength": len(CONTENT)})
    assert found == Checksum(algorithm, value)
    assert compute(file, algorithm) == value


def test_crc64nvme_is_that_of_the_nvme_specification(tmp_path: Path) -> None:
    file = tmp_path / "check"
    file.write_bytes(b"123456789")
    # The check value of CRC-64/NVME in the catalogue of parametrised CRC algorithms.
    assert base64.b64decode(compute(file, "CRC64NVME")).hex() == "ae8b14860a799888"


def test_checksum_of_prefers_the_fastest_and_takes_an_etag_that_is_an_md5() -> None:
    crc, etag = "rosUhgp5mIg=", '"5d41402abc4b2a76b9719d911017c592"'
    head = {"ChecksumCRC64NVME": crc, "ChecksumSHA256": "x", "ETag": etag}
    assert checksum_of(head) == Checksum("CRC64NVME", crc)
    md5 = Checksum("MD5", "XUFAKrxLKna5cZ2REBfFkg==")
    assert checksum_of({"ETag": etag}) == md5
    assert checksum_of({"ETag": etag, "ServerSideEncryption": "AES256"}) == md5
    for other in ({"ServerSideEncryption": "aws:kms"}, {"SSECustomerAlgorithm": "AES256"}):
        assert checksum_of({"ETag": etag, **other}) is None


@pytest.mark.parametrize("name", ["crc64nvme", "crc32c"])
def test_checksum_without_its_package_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "awscrt", None)
    with pytest.raises(EngineError, match=r"install axon\[weights\]"):
        compute(tmp_path, name.upper())


@pytest.mark.parametrize(
    "head", [{}, {"ChecksumCRC32": "AAAAAA==-5"}, {"ChecksumCRC64NVME": "AAAAAAAAAAA=-2"}]
)
def test_checksum_of_returns_none_if_it_cannot_be_compared(head: dict[str, str]) -> None:
    assert checksum_of(head) is None
