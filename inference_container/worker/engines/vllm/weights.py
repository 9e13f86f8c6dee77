"""Model weights: a local folder, or a folder in S3 that is copied once."""

import json
import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from worker.engines.private_cache import make_private
from worker.engines.protocol import EngineError
from worker.engines.vllm.checksums import checksum_of, compute
from worker.engines.vllm.multipart import composite_of
from worker.engines.vllm.safety import Trust

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

_NO_TRUST = Trust()


def model_folder(
    uri: str,
    *,
    cache: Path,
    trust: Trust = _NO_TRUST,
    must_contain: str = "config.json",
    weights: str | None = "*.safetensors",
) -> Path:
    """Return the local folder of a model; copy it from S3 first if necessary.

    A file that was copied in full is not copied again unless its object has changed; an incomplete
    one has another name. Each byte is verified by S3's checksum, of the whole file or of its
    parts. A file without one is refused unless `trust` allows it.

    Parameters
    ----------
    uri : str
        ``s3://bucket/prefix``, or a local path.
    cache : Path
        Folder for copies; closed to other users, who could forge a copy and its entry in the list.
    trust : Trust
        Which files may be copied and loaded.
    must_contain : str
        Name of a file without which the folder is no model.
    weights : str | None
        Pattern of the names of its weights; None if none are loaded.

    Raises
    ------
    EngineError
        There is no such folder, it cannot be read, an object's key leads out of it, a file
        arrived damaged or cannot be verified, it has no weights that may be loaded, or the cache is
        another user's.
    """
    if not uri.startswith("s3://"):
        folder = _checked(Path(uri), must_contain)
        trust.check(folder, weights=weights)
        return folder
    # Here: importing them takes 0.3 s, and most workers copy nothing.
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    parts = urlsplit(uri)
    bucket, prefix = parts.netloc, parts.path.strip("/")
    folder = cache.joinpath(bucket, *_steps(prefix, of=uri))
    make_private(cache)
    try:
        _copy(boto3.client("s3"), bucket=bucket, prefix=prefix, to=folder, trust=trust)
    except (BotoCoreError, ClientError) as error:
        raise EngineError(f"cannot read the model {uri}: {error}") from error
    trust.check(_checked(folder, must_contain), weights=weights)
    return folder


def _checked(folder: Path, must_contain: str) -> Path:
    if not (folder / must_contain).is_file():
        raise EngineError(f"{folder} is no model: it has no {must_contain}")
    return folder


def _copy(s3: "S3Client", *, bucket: str, prefix: str, to: Path, trust: Trust) -> None:
    listed = list(_objects(s3, bucket=bucket, prefix=f"{prefix}/"))
    objects = [each for each in listed if trust.copies(each.key)]
    for skipped in set(listed) - set(objects):
        logger.info("%s is not copied: it may run code", skipped.key)
    # Before any is written.
    targets = [_target(to, each.key, prefix=prefix) for each in objects]
    copied = _Copied(to, prefix=prefix, trust=trust)
    copied.keep_only({each.key for each in objects})
    progress = _Progress(prefix, total=sum(each.size for each in objects))
    for each, target in zip(objects, targets, strict=True):
        if copied.has(each, target):
            progress.add(each.size)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        s3.download_file(bucket, each.key, str(partial), Callback=progress.add)
        verified = _verify(s3, partial, bucket=bucket, expected=each, trust=trust)
        partial.rename(target)
        copied.add(each, verified=verified)


def _target(folder: Path, key: str, *, prefix: str) -> Path:
    return folder.joinpath(*_steps(key.removeprefix(f"{prefix}/"), of=key))


def _steps(path: str, *, of: str) -> list[str]:
    """Return the names on a path.

    Raises
    ------
    EngineError
        It leads out of its folder: S3 takes any key.
    """
    steps = path.split("/")
    if {"", ".", ".."} & set(steps) or "\0" in path or "\\" in path:
        raise EngineError(
            f"The model's folder has an object whose key is no path in it: {of!r}. Rename or "
            "delete it."
        )
    return steps


@dataclass(frozen=True, slots=True)
class _Object:
    key: str
    size: int
    etag: str


class _Copied:
    """Knows of which contents the copies are: an object may change and keep its size.

    The list stands beside the folder, which holds nothing but the model. A file that it does not
    name is copied again, whatever its size: nobody has verified it.
    """

    def __init__(self, folder: Path, *, prefix: str, trust: Trust) -> None:
        self._folder = folder
        self._prefix = prefix
        self._trust = trust
        self._file = folder.with_name(folder.name + ".copied.json")
        self._etags: dict[str, str] = {}
        with suppress(FileNotFoundError, ValueError):
            self._etags = json.loads(self._file.read_text())

    def has(self, each: _Object, target: Path) -> bool:
        """Return whether the object was copied whole, and has not changed since."""
        if not target.is_file() or target.stat().st_size != each.size:
            return False
        noted = self._etags.get(each.key)
        return noted == each.etag or (self._trust.unverified and noted == _unverified(each))

    def add(self, each: _Object, *, verified: bool) -> None:
        """Note a copy; one that is not verified counts only as long as that is allowed."""
        self._etags[each.key] = each.etag if verified else _unverified(each)
        self._write()

    def keep_only(self, keys: Collection[str]) -> None:
        """Delete copies whose objects are gone, or may not be copied any more."""
        gone = [key for key in self._etags if key not in keys]
        for key in gone:
            _target(self._folder, key, prefix=self._prefix).unlink(missing_ok=True)
            del self._etags[key]
        if gone:
            self._write()

    def _write(self) -> None:
        partial = self._file.with_name(self._file.name + ".partial")
        partial.write_text(json.dumps(self._etags))
        partial.rename(self._file)


def _unverified(each: _Object) -> str:
    return f"{each.etag} unverified"


def _verify(s3: "S3Client", file: Path, *, bucket: str, expected: _Object, trust: Trust) -> bool:
    """Return whether a file has a checksum; check it.

    Raises
    ------
    EngineError
        The file is damaged, its object has changed, or it has no checksum and must have one.
    """
    where = f"s3://{bucket}/{expected.key}"
    if (arrived := file.stat().st_size) != expected.size:
        raise EngineError(f"{where} arrived damaged: {arrived} of {expected.size} bytes")
    head = s3.head_object(Bucket=bucket, Key=expected.key, ChecksumMode="ENABLED")
    if head["ETag"] != expected.etag:
        raise EngineError(f"{where} has changed while it was copied: load the model again")
    if checksum := checksum_of(head):
        algorithm = checksum.algorithm
        intact = compute(file, algorithm) == checksum.value
    elif composite := composite_of(s3, head, bucket=bucket, key=expected.key):
        algorithm = composite.algorithm
        intact = composite.matches(file)
    else:
        trust.check_unverified(where)
        logger.warning("%s has no usable checksum: its size alone was compared", where)
        return False
    if not intact:
        raise EngineError(f"{where} arrived damaged: its {algorithm} is another")
    return True


def _objects(s3: "S3Client", *, bucket: str, prefix: str) -> Iterator[_Object]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            if not found["Key"].endswith("/"):
                yield _Object(found["Key"], found["Size"], found["ETag"])


class _Progress:
    """Logs each tenth of the bytes; boto3 calls it from several threads."""

    def __init__(self, name: str, *, total: int) -> None:
        self._name = name
        self._total = max(total, 1)
        self._done = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            before, self._done = self._done, self._done + size
            if self._done * 10 // self._total > before * 10 // self._total:
                done, total = self._done // 10**6, self._total // 10**6
                logger.info("model %s: %d of %d MB", self._name, done, total)
