"""Model weights: a local folder, or a folder in S3 that is copied once."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from worker.engines.protocol import EngineError
from worker.engines.vllm.checksums import checksum_of, compute

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)


def model_folder(uri: str, *, cache: Path, must_contain: str = "config.json") -> Path:
    """Return the local folder of a model; copy it from S3 first if necessary.

    A file that exists in full size is not copied again; an incomplete one has another name. Sizes
    are compared, and checksums where S3 has one of the whole file.

    Parameters
    ----------
    uri : str
        ``s3://bucket/prefix``, or a local path.
    cache : Path
        Folder for copies.
    must_contain : str
        Name of a file without which the folder is no model.

    Raises
    ------
    EngineError
        There is no such folder, it cannot be read, or a file arrived damaged.
    """
    if not uri.startswith("s3://"):
        return _checked(Path(uri), must_contain)
    parts = urlsplit(uri)
    folder = cache / parts.netloc / parts.path.strip("/")
    try:
        _copy(boto3.client("s3"), bucket=parts.netloc, prefix=parts.path.strip("/"), to=folder)
    except (BotoCoreError, ClientError) as error:
        raise EngineError(f"cannot read the model {uri}: {error}") from error
    return _checked(folder, must_contain)


def _checked(folder: Path, must_contain: str) -> Path:
    if not (folder / must_contain).is_file():
        raise EngineError(f"{folder} is no model: it has no {must_contain}")
    return folder


def _copy(s3: "S3Client", *, bucket: str, prefix: str, to: Path) -> None:
    objects = list(_objects(s3, bucket=bucket, prefix=f"{prefix}/"))
    progress = _Progress(prefix, total=sum(size for _, size in objects))
    for key, size in objects:
        target = to / key.removeprefix(f"{prefix}/")
        if target.is_file() and target.stat().st_size == size:
            progress.add(size)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        s3.download_file(bucket, key, str(partial), Callback=progress.add)
        _verify(s3, partial, bucket=bucket, key=key, size=size)
        partial.rename(target)


def _verify(s3: "S3Client", file: Path, *, bucket: str, key: str, size: int) -> None:
    where = f"s3://{bucket}/{key}"
    if (arrived := file.stat().st_size) != size:
        raise EngineError(f"{where} arrived damaged: {arrived} of {size} bytes")
    expected = checksum_of(s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED"))
    if expected is not None and compute(file, expected.algorithm) != expected.value:
        raise EngineError(f"{where} arrived damaged: its {expected.algorithm} is another")


def _objects(s3: "S3Client", *, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            if not found["Key"].endswith("/"):
                yield found["Key"], found["Size"]


class _Progress:
    """Logs each tenth of the bytes; boto3 calls it from several threads."""

    def __init__(self, name: str, *, total: int) -> None:
        self._name = name
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            before, self._done = self._done, self._done + size
            if self._done * 10 // self._total > before * 10 // self._total:
                done, total = self._done // 10**6, self._total // 10**6
                logger.info("model %s: %d of %d MB", self._name, done, total)
