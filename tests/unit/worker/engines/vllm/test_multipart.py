"""Weights that were uploaded in parts, from a stub of S3 as its documentation describes it."""

import base64
import hashlib
import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from worker.engines.protocol import EngineError
from worker.engines.vllm import weights
from worker.engines.vllm.safety import Trust
from worker.engines.vllm.weights import model_folder

URI = "s3://bucket/m"
CONTENT = bytes(range(250)) * 10
HASHES: dict[str, Callable[[bytes], bytes]] = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
    "MD5": lambda data: hashlib.md5(data).digest(),
}


@dataclass(kw_only=True)
class S3Stub:
    """A bucket with one file, whose object has parts of the given sizes.

    Parameters
    ----------
    algorithm : str | None
        Of the parts' checksums; MD5 for those in the ETag, None for an ETag by KMS.
    lists : bool
        Whether ``GetObjectAttributes`` is allowed.
    knows_parts : bool
        Whether ``PartNumber`` counts.
    sent : bytes
        What a download brings.
    """

    sizes: tuple[int, ...]
    algorithm: str | None = "CRC32"
    lists: bool = True
    knows_parts: bool = True
    sent: bytes = CONTENT
    downloads: int = 0

    def get_paginator(self, _name: str) -> "S3Stub":
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        listed = {"Key": "m/model.safetensors", "Size": len(CONTENT), "ETag": self._etag()}
        return [{"Contents": [listed]}]

    def download_file(self, _bucket: str, _key: str, path: str, **_: Any) -> None:
        self.downloads += 1
        Path(path).write_bytes(self.sent)

    def head_object(self, *, PartNumber: int | None = None, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's
        if PartNumber and self.knows_parts:
            return {"ContentLength": self.sizes[PartNumber - 1]}
        head: dict[str, Any] = {"ETag": self._etag(), "ContentLength": len(CONTENT)}
        if self.algorithm is None:
            return head | {"ServerSideEncryption": "aws:kms"}
        if self.algorithm != "MD5":
            digest = base64.b64encode(self._composite(self.algorithm)).decode()
            head[f"Checksum{self.algorithm}"] = f"{digest}-{len(self.sizes)}"
        return head

    def get_object_attributes(self, *, PartNumberMarker: int, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's
        if not self.lists:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetObjectAttributes")
        if self.algorithm in (None, "MD5"):
            return {"ObjectParts": {"TotalPartsCount": len(self.sizes)}}
        end = PartNumberMarker + 2  # two a page
        parts = [{"Size": size} for size in self.sizes[PartNumberMarker:end]]
        more = end < len(self.sizes)
        listed = {"Parts": parts, "NextPartNumberMarker": end, "IsTruncated": more}
        return {"ObjectParts": listed}

    def _composite(self, algorithm: str) -> bytes:
        compute, parts, start = HASHES[algorithm], b"", 0
        for size in self.sizes:
            parts += compute(CONTENT[start : start + size])
            start += size
        return compute(parts)

    def _etag(self) -> str:
        return f'"{self._composite("MD5").hex()}-{len(self.sizes)}"'


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    def loaded(s3: S3Stub, *, unverified: bool = False) -> Path:
        monkeypatch.setattr(boto3, "client", lambda _service: s3)
        trust = Trust(unverified=unverified)
        return model_folder(
            URI, cache=tmp_path / "cache", trust=trust, must_contain="model.safetensors"
        )

    return loaded


EQUAL, UNEQUAL = (1000, 1000, 500), (700, 1100, 200, 500)
DAMAGED = CONTENT[:-1] + b"?"
Load = Callable[..., Path]


@pytest.mark.parametrize(
    "known",
    [
        {"sizes": UNEQUAL},
        {"sizes": UNEQUAL, "algorithm": "SHA256"},
        {"sizes": UNEQUAL, "algorithm": "SHA1"},
        {"sizes": (2500,)},
        {"sizes": EQUAL, "lists": False},
        {"sizes": EQUAL, "algorithm": "MD5"},
        {"sizes": (2500,), "algorithm": "MD5", "lists": False},
    ],
)
def test_weights_uploaded_in_parts_are_verified(
    load: Load, known: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger=weights.logger.name)
    named = known.get("algorithm", "CRC32")
    with pytest.raises(EngineError, match=f"s3://bucket/m/.* arrived damaged: its {named}"):
        load(S3Stub(**known, sent=DAMAGED))
    folder = load(S3Stub(**known))
    assert (folder / "model.safetensors").read_bytes() == CONTENT
    assert not caplog.messages


@pytest.mark.parametrize(
    "unknown",
    [
        {"sizes": EQUAL, "algorithm": None},
        {"sizes": UNEQUAL, "algorithm": "MD5"},
        {"sizes": UNEQUAL, "lists": False},
        {"sizes": EQUAL, "lists": False, "knows_parts": False},
    ],
)
def test_weights_that_cannot_be_verified_are_refused_unless_the_operator_allows_it(
    load: Load, unknown: dict[str, Any]
) -> None:
    s3 = S3Stub(**unknown)
    refused = r"s3://bucket/m/model\.safetensors cannot .* AXON_ALLOW_UNVERIFIED_WEIGHTS"
    with pytest.raises(EngineError, match=refused):
        load(s3)
    for _ in range(2):
        load(s3, unverified=True)
    assert s3.downloads == 2
    # A copy that nobody has verified counts only as long as that is allowed.
    with pytest.raises(EngineError, match=refused):
        load(s3)
