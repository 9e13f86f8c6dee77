"""Model weights from S3, against a real server of its protocol."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local.services.fauxqs import Fauxqs
from worker.engines.protocol import EngineError
from worker.engines.vllm import weights
from worker.engines.vllm.adapters import Adapters
from worker.engines.vllm.checksums import Checksum
from worker.engines.vllm.safety import Trust
from worker.engines.vllm.weights import model_folder

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "models"


@pytest.fixture
def s3(fauxqs_server: Fauxqs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "S3Client":
    config = tmp_path / "config"
    config.write_text("[default]\ns3 =\n    addressing_style = path\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", fauxqs_server.endpoint)
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for name, content in {
        "small/config.json": b"{}",
        "small/model-00001.safetensors": b"x" * 100_000,
        "small/original/params.json": b"{1}",
        "smaller/config.json": b"another",
    }.items():
        client.put_object(Bucket=BUCKET, Key=name, Body=content)
    return client


def files(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_weights_are_copied_without_other_folders(s3: "S3Client", tmp_path: Path) -> None:
    folder = model_folder(f"s3://{BUCKET}/small", cache=tmp_path / "cache")
    assert files(folder) == {
        "config.json": 2,
        "model-00001.safetensors": 100_000,
        "original/params.json": 3,
    }


def test_weights_are_copied_once_and_completed_after_an_interruption(
    s3: "S3Client", tmp_path: Path
) -> None:
    folder = model_folder(f"s3://{BUCKET}/small", cache=tmp_path)
    kept = (folder / "config.json").stat().st_mtime_ns
    (folder / "model-00001.safetensors").write_bytes(b"cut")
    assert model_folder(f"s3://{BUCKET}/small/", cache=tmp_path) == folder
    assert files(folder)["model-00001.safetensors"] == 100_000
    assert (folder / "config.json").stat().st_mtime_ns == kept


def test_weights_that_change_and_keep_their_size_are_copied_again(
    s3: "S3Client", tmp_path: Path
) -> None:
    model_folder(f"s3://{BUCKET}/small", cache=tmp_path)
    s3.put_object(Bucket=BUCKET, Key="small/model-00001.safetensors", Body=b"y" * 100_000)
    for _ in range(2):
        folder = model_folder(f"s3://{BUCKET}/small", cache=tmp_path)
        assert (folder / "model-00001.safetensors").read_bytes() == b"y" * 100_000


def test_weights_that_nobody_has_noted_are_copied_again(s3: "S3Client", tmp_path: Path) -> None:
    folder = model_folder(f"s3://{BUCKET}/small", cache=tmp_path)
    (folder / "model-00001.safetensors").write_bytes(b"?" * 100_000)
    folder.with_name("small.copied.json").unlink()
    model_folder(f"s3://{BUCKET}/small", cache=tmp_path)
    assert (folder / "model-00001.safetensors").read_bytes() == b"x" * 100_000


def test_weights_whose_objects_are_gone_leave_the_folder(s3: "S3Client", tmp_path: Path) -> None:
    folder = model_folder(f"s3://{BUCKET}/small", cache=tmp_path)
    s3.delete_object(Bucket=BUCKET, Key="small/original/params.json")
    model_folder(f"s3://{BUCKET}/small", cache=tmp_path)
    assert files(folder) == {"config.json": 2, "model-00001.safetensors": 100_000}


def test_weights_that_may_run_code_stay_in_s3_unless_the_operator_allows_it(
    s3: "S3Client", tmp_path: Path
) -> None:
    risky = {"pytorch_model.bin", "a/optimizer.PT", "modeling.py", "x.pkl"}
    for name in risky:
        s3.put_object(Bucket=BUCKET, Key=f"small/{name}", Body=b"code")
    uri = f"s3://{BUCKET}/small"
    safe = set(files(model_folder(uri, cache=tmp_path)))
    assert safe == {"config.json", "model-00001.safetensors", "original/params.json"}
    trust = Trust(code=True, pickles=True)
    assert set(files(model_folder(uri, cache=tmp_path, trust=trust))) == safe | risky
    assert set(files(model_folder(uri, cache=tmp_path))) == safe


def test_adapter_without_safetensors_is_refused_by_name(tmp_path: Path) -> None:
    for name in ("adapter_config.json", "adapter_model.bin", "other.safetensors"):
        (tmp_path / name).write_bytes(b"{}")
    adapters = Adapters({"pirate": str(tmp_path)}, trust=Trust())
    with pytest.raises(EngineError, match=r"has no adapter_model\.safetensors"):
        adapters.fetch(cache=tmp_path)
    Adapters({"pirate": str(tmp_path)}, trust=Trust(pickles=True)).fetch(cache=tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"{}")
    adapters.fetch(cache=tmp_path)


@pytest.mark.parametrize("must_contain", ["config.json", "adapter_config.json"])
def test_weights_without_safetensors_are_refused_by_name(
    s3: "S3Client", tmp_path: Path, must_contain: str
) -> None:
    folder = f"pickled-{must_contain}"
    for name in (must_contain, "pytorch_model.bin"):
        s3.put_object(Bucket=BUCKET, Key=f"{folder}/{name}", Body=b"{}")
    uri = f"s3://{BUCKET}/{folder}"
    with pytest.raises(EngineError, match=rf"models/{folder} has no \*\.safetensors"):
        model_folder(uri, cache=tmp_path, must_contain=must_contain)
    trust = Trust(pickles=True)
    copied = model_folder(uri, cache=tmp_path, must_contain=must_contain, trust=trust)
    assert set(files(copied)) == {must_contain, "pytorch_model.bin"}


def test_weights_are_verified_by_crc64nvme(
    s3: "S3Client", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("config.json", "model.safetensors"):
        s3.put_object(Bucket=BUCKET, Key=f"crc/{name}", Body=b"123456789")
    # The server here returns no checksums. This is the specification's own for these bytes.
    right, wrong = (Checksum("CRC64NVME", value) for value in ("rosUhgp5mIg=", "rosUhgp5mIk="))
    monkeypatch.setattr(weights, "checksum_of", lambda _head: wrong)
    with pytest.raises(EngineError, match="arrived damaged: its CRC64NVME"):
        model_folder(f"s3://{BUCKET}/crc", cache=tmp_path)
    monkeypatch.setattr(weights, "checksum_of", lambda _head: right)
    assert len(files(model_folder(f"s3://{BUCKET}/crc", cache=tmp_path))) == 2


def test_weights_that_change_while_they_are_copied_are_refused(
    s3: "S3Client", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = weights._objects

    def stale(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for each in listed(*args, **kwargs):
            yield replace(each, etag='"other"')

    monkeypatch.setattr(weights, "_objects", stale)
    with pytest.raises(EngineError, match="changed while it was copied"):
        model_folder(f"s3://{BUCKET}/small", cache=tmp_path)


@pytest.mark.parametrize("uri", ["s3://models/../../escaped", "s3://models/a//b", "s3://models"])
def test_weights_of_a_uri_that_leads_out_of_the_cache_are_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no path in it"):
        model_folder(uri, cache=tmp_path)


@pytest.mark.parametrize(
    "name", ["../../escaped", "a/../../../escaped", "/escaped", "a//b", "./b", "..\\escaped"]
)
def test_weights_whose_key_leads_out_of_the_folder_are_refused(
    s3: "S3Client", tmp_path: Path, name: str
) -> None:
    for key in ("forged/config.json", f"forged/{name}"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    before = files(tmp_path)
    with pytest.raises(EngineError, match="no path in it"):
        model_folder(f"s3://{BUCKET}/forged", cache=tmp_path / "deep" / "cache")
    s3.delete_object(Bucket=BUCKET, Key=f"forged/{name}")
    assert files(tmp_path) == before


@pytest.mark.parametrize("uri", [f"s3://{BUCKET}/smal", "s3://nothing-here/small"])
def test_weights_that_do_not_exist_are_named_in_the_error(
    s3: "S3Client", tmp_path: Path, uri: str
) -> None:
    with pytest.raises(EngineError, match=r"is no model|cannot read the model"):
        model_folder(uri, cache=tmp_path)


def test_weights_in_a_local_folder_are_used_in_place(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert model_folder(str(tmp_path), cache=tmp_path / "cache") == tmp_path
    with pytest.raises(EngineError, match=r"no config\.json"):
        model_folder(str(tmp_path / "elsewhere"), cache=tmp_path)


def test_weights_that_arrive_damaged_are_refused(
    s3: "S3Client", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "checksum_of", lambda _head: Checksum("CRC32", "AAAAAA=="))
    with pytest.raises(EngineError, match=r"s3://models/small/\S+ arrived damaged: its CRC32"):
        model_folder(f"s3://{BUCKET}/small", cache=tmp_path / "cache")
    assert not [name for name in files(tmp_path / "cache") if not name.endswith(".partial")]


def test_weights_log_their_progress_by_tenths(
    s3: "S3Client", tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=weights.logger.name)
    model_folder(f"s3://{BUCKET}/small", cache=tmp_path)
    assert 1 <= len(caplog.messages) <= 10
