"""Model weights: a local folder, or a folder in S3 that is copied once."""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
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

    A file that exists in full size is not copied again unless its object has changed; an incomplete
    one has another name. Sizes are compared, and checksums where S3 has one of the whole file.

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
        There is no such folder, it cannot be read, an object's key leads out of it, or a file
        arrived damaged.
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
    targets = [_target(to, each.key, prefix=prefix) for each in objects]  # before any is written
    copied = _Copied(to)
    progress = _Progress(prefix, total=sum(each.size for each in objects))
    for each, target in zip(objects, targets, strict=True):
        if copied.has(each, target):
            progress.add(each.size)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        s3.download_file(bucket, each.key, str(partial), Callback=progress.add)
        _verify(s3, partial, bucket=bucket, key=each.key, size=each.size)
        partial.rename(target)
        copied.add(each)


def _target(folder: Path, key: str, *, prefix: str) -> Path:
    """Return where an object is copied to.

    Raises
    ------
    EngineError
        Its key leads out of the folder: S3 takes any key.
    """
    name = key.removeprefix(f"{prefix}/")
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or "\0" in name or "\\" in name:
        raise EngineError(
            f"The model's folder has an object whose key is no path in it: {key!r}. Rename or "
            "delete it."
        )
    return folder.joinpath(*parts)


@dataclass(frozen=True, slots=True)
class _Object:
    key: str
    size: int
    etag: str


class _Copied:
    """Knows of which contents the copies are: an object may change and keep its size.

    The list stands beside the folder, which holds nothing but the model.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder.with_name(folder.name + ".copied.json")
        self._etags: dict[str, str] = {}
        with suppress(FileNotFoundError, ValueError):
            self._etags = json.loads(self._file.read_text())

    def has(self, each: _Object, target: Path) -> bool:
        """Return whether the object was copied whole, and has not changed since."""
        if not target.is_file() or target.stat().st_size != each.size:
            return False
        return self._etags.setdefault(each.key, each.etag) == each.etag

    def add(self, each: _Object) -> None:
        """Note a copy."""
        self._etags[each.key] = each.etag
        partial = self._file.with_name(self._file.name + ".partial")
        partial.write_text(json.dumps(self._etags))
        partial.rename(self._file)


def _verify(s3: "S3Client", file: Path, *, bucket: str, key: str, size: int) -> None:
    where = f"s3://{bucket}/{key}"
    if (arrived := file.stat().st_size) != size:
        raise EngineError(f"{where} arrived damaged: {arrived} of {size} bytes")
    expected = checksum_of(s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED"))
    if expected is not None and compute(file, expected.algorithm) != expected.value:
        raise EngineError(f"{where} arrived damaged: its {expected.algorithm} is another")


def _objects(s3: "S3Client", *, bucket: str, prefix: str) -> Iterator[_Object]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            if not found["Key"].endswith("/"):
                yield _Object(found["Key"], found["Size"], found["ETag"])


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
