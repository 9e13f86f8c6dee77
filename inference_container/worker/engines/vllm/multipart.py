"""Checksums of objects that were uploaded in parts: a checksum of their parts' checksums."""

import base64
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.engines.vllm.checksums import digest_of_range, has_md5_etag, hash_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

# CRC64NVME is always that of the whole object. The fastest first.
_ALGORITHMS = ("CRC32C", "CRC32", "SHA256", "SHA1")
_COMPOSITE = re.compile(r"([A-Za-z0-9+/]+=*)-(\d{1,5})", re.ASCII)
_MD5 = re.compile(r'"?([0-9a-f]{32})-(\d{1,5})"?', re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeChecksum:
    """A checksum of the checksums of an object's parts.

    Parameters
    ----------
    algorithm : str
        Algorithm of both.
    digest : bytes
        The checksum.
    sizes : tuple[int, ...]
        Bytes of each part.
    """

    algorithm: str
    digest: bytes
    sizes: tuple[int, ...]

    def matches(self, file: Path) -> bool:
        """Return whether a file has the contents that the parts had.

        Raises
        ------
        EngineError
            The package for this algorithm is not installed.
        """
        whole = hash_of(self.algorithm)
        start = 0
        with file.open("rb") as opened:
            for size in self.sizes:
                whole.update(digest_of_range(opened, self.algorithm, start=start, size=size))
                start += size
        return whole.digest() == self.digest


def composite_of(
    s3: "S3Client", head: Mapping[str, Any], *, bucket: str, key: str
) -> CompositeChecksum | None:
    """Return the composite checksum of an object, by its response of ``head_object``.

    The parts' sizes are those of ``GetObjectAttributes``. Where it is not allowed or lists none
    (parts without checksums), they are derived from those of the first and the last part.

    Returns
    -------
    CompositeChecksum | None
        None if the object has none, or the sizes of its parts are unknown.
    """
    declared = _declared(head)
    if declared is None:
        return None
    algorithm, digest, count = declared
    size = head["ContentLength"]
    sizes = _listed_sizes(s3, bucket, key)
    if len(sizes) != count or sum(sizes) != size:
        sizes = _derived_sizes(s3, bucket, key, count=count, total=size)
    return CompositeChecksum(algorithm=algorithm, digest=digest, sizes=sizes) if sizes else None


def _declared(head: Mapping[str, Any]) -> tuple[str, bytes, int] | None:
    """Return the algorithm, the digest and the number of parts."""
    for algorithm in _ALGORITHMS:
        if found := _COMPOSITE.fullmatch(head.get(f"Checksum{algorithm}", "")):
            return algorithm, base64.b64decode(found[1]), int(found[2])
    etag = _MD5.fullmatch(head.get("ETag", ""))
    if etag is None or not has_md5_etag(head):
        return None
    return "MD5", bytes.fromhex(etag[1]), int(etag[2])


def _listed_sizes(s3: "S3Client", bucket: str, key: str) -> tuple[int, ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return tuple(_pages_of_sizes(s3, bucket, key))
    except (BotoCoreError, ClientError) as error:
        # No permission, or another server of S3's protocol. A network failure meets the next
        # request, too, and is raised there.
        logger.info("the parts of s3://%s/%s are not listed: %s", bucket, key, error)
        return ()


def _pages_of_sizes(s3: "S3Client", bucket: str, key: str) -> Iterator[int]:
    marker, more = 0, True
    while more:
        answer = s3.get_object_attributes(
            Bucket=bucket, Key=key, ObjectAttributes=["ObjectParts"], PartNumberMarker=marker
        )
        listed = answer.get("ObjectParts", {})
        yield from (part["Size"] for part in listed.get("Parts", []))
        following = listed.get("NextPartNumberMarker", 0)
        # A server that repeats a marker must not keep this running.
        more = listed.get("IsTruncated", False) and following > marker
        marker = following


def _derived_sizes(
    s3: "S3Client", bucket: str, key: str, *, count: int, total: int
) -> tuple[int, ...]:
    """Return the sizes of parts that are equal but for the last one, as every SDK makes them."""

    def size_of(part: int) -> int:
        return s3.head_object(Bucket=bucket, Key=key, PartNumber=part)["ContentLength"]

    if count < 1:
        return ()
    first = size_of(1)
    last = total - (count - 1) * first
    if not 0 < last <= first or size_of(count) != last:
        return ()
    return (first,) * (count - 1) + (last,)
