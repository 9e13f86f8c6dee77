"""Model weights: a local folder, or a folder in S3 that is copied here once."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from worker.engines.protocol import EngineError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOGGER = logging.getLogger(__name__)


def model_folder(uri: str, *, cache: Path) -> Path:
    """Return the folder of ``s3://bucket/prefix``, copied under `cache`, or of a local path.

    What is there in full size is not copied again; a file under way has another name.

    Raises
    ------
    EngineError : there is no such folder, or it cannot be read.
    """
    if not uri.startswith("s3://"):
        return _local(Path(uri))
    parts = urlsplit(uri)
    folder = cache / parts.netloc / parts.path.strip("/")
    try:
        _copy(boto3.client("s3"), bucket=parts.netloc, prefix=parts.path.strip("/"), to=folder)
    except (BotoCoreError, ClientError) as error:
        raise EngineError(f"cannot read the model {uri}: {error}") from error
    return _local(folder)


def _local(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise EngineError(f"{folder} is no model: it has no config.json")
    return folder


def _copy(s3: "S3Client", *, bucket: str, prefix: str, to: Path) -> None:
    objects = list(_objects(s3, bucket=bucket, prefix=f"{prefix}/"))
    total, done = sum(size for _, size in objects), 0
    for key, size in objects:
        target = to / key.removeprefix(f"{prefix}/")
        if not (target.is_file() and target.stat().st_size == size):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(target.name + ".partial")
            s3.download_file(bucket, key, str(partial))
            partial.rename(target)
        done += size
        LOGGER.info("model %s: %d of %d MB", prefix, done // 10**6, total // 10**6)


def _objects(s3: "S3Client", *, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            if not found["Key"].endswith("/"):
                yield found["Key"], found["Size"]
