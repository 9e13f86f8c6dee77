"""The worker's images in both their modes, on a file system that is read-only but for /scratch."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from local.services.valkey import Valkey
from tests.conftest import Servers
from tests.infra.support.dockerfile import Dockerfile, Stage
from tests.infra.support.image_harness import run, started, unpack

IMAGES = ["inference_container/Dockerfile.cpu", "inference_container/Dockerfile"]

# What a container with a read-only root file system has: its volume can be written to, and /dev.
READ_ONLY = """
scratch=$1; shift
mount --bind "$scratch" "$scratch"
while read -r _ _ _ _ point options _; do
    case "$point" in
        "$scratch" | /dev | /dev/* | /proc | /proc/* | /sys | /sys/*) ;;
        *) mount -o "remount,bind,ro,${options#r?,}" "$point" || exit 97 ;;
    esac
done < /proc/self/mountinfo
exec "$@"
"""


def read_only(scratch: Path) -> list[str]:
    """Return what runs a command with nothing but this folder to write to."""
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, "sh", str(scratch)]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A volume for /scratch; the test is skipped where nothing can be made read-only."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    for path, status in ((tmp_path, 1), (folder, 0)):
        done = subprocess.run(
            [*read_only(folder), "sh", "-c", ': > "$1/written"', "sh", str(path)],
            capture_output=True, text=True, check=False, timeout=20,
        )  # fmt: skip
        if done.returncode == 97 or "unshare:" in done.stderr:
            pytest.skip(f"this machine allows no mounts: {done.stderr.strip()}")
        assert (done.returncode != 0) == bool(status), done.stderr
    return folder


def environment(image: Stage, scratch: Path, **variables: object) -> dict[str, str]:
    """Return what the image sets, with these on top, and with this folder for /scratch."""
    shipped = {
        name: value.replace("/scratch", str(scratch))
        for name, value in image.environment.items()
        if name != "SSL_CERT_FILE"  # this machine may keep it elsewhere
    }
    here = {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AXON_ENGINE": "echo",
    }
    return shipped | here | {f"AXON_{name.upper()}": str(v) for name, v in variables.items()}


@contextmanager
def healthy(
    name: str, scratch: Path, *arguments: str, health: int, **variables: object
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the image's own command until its health check is answered, and at last stop it."""
    folder = scratch.parent / "image"
    folder.mkdir()
    image = unpack(name, folder).image
    environ = environment(image, scratch, health_port=health, **variables)
    command = [*image.command("ENTRYPOINT"), *arguments]
    probe = [*image.command("HEALTHCHECK")[:-1], str(health)]
    with started(folder, command, environ, under=read_only(scratch)) as process:
        deadline = time.monotonic() + 60
        while run(folder, probe).returncode != 0:
            assert process.poll() is None, "the worker ended"
            assert time.monotonic() < deadline, "the health check is never answered"
            time.sleep(0.1)
        yield process
        process.terminate()
        assert process.wait(timeout=30) == 0


def asked(port: int, path: str, body: object = None) -> tuple[int, str, str]:
    """Return status, content type and body of the reply."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"http://127.0.0.1:{port}{path}", data=data)
    try:
        with urlopen(request, timeout=10) as reply:
            return reply.status, reply.headers.get_content_type(), reply.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.headers.get_content_type(), error.read().decode()


@pytest.mark.parametrize("name", IMAGES)
def test_worker_image_serves_a_sagemaker_endpoint(
    name: str, scratch: Path, servers: Servers
) -> None:
    port, health = servers.ports.reserve(), servers.ports.reserve()
    with healthy(name, scratch, "serve", health=health, http_port=port):
        assert asked(port, "/ping")[::2] == (200, "")
        question = {"model": "echo", "input": "count to 3"}
        status, kind, body = asked(port, "/invocations", question)
        assert (status, kind) == (200, "application/json")
        assert json.loads(body)["output"][0]["content"][0]["text"] == "1 2 3"
        status, kind, body = asked(port, "/invocations", question | {"stream": True})
        assert (status, kind) == (200, "text/event-stream")
        assert body.count("event: response.completed\n") == 1
        assert asked(port, "/invocations", question | {"model": "gpt"})[0] == 404
        assert asked(health, "/metrics")[0] == 200
    with pytest.raises(URLError):
        asked(port, "/ping")


@pytest.mark.model
def test_worker_image_serves_its_own_model(scratch: Path, servers: Servers) -> None:
    port, health = servers.ports.reserve(), servers.ports.reserve()
    with healthy(IMAGES[0], scratch, "serve", health=health, http_port=port, engine="smollm2"):
        question = {"model": "smollm2-135m-instruct", "input": "Hello!", "max_output_tokens": 4}
        status, _, body = asked(port, "/invocations", question)
        assert status == 200
        assert 0 < json.loads(body)["usage"]["output_tokens"] <= 4


def test_worker_image_runs_a_worker(scratch: Path, servers: Servers, valkey_server: Valkey) -> None:
    nowhere = "http://127.0.0.1:1/queue"
    settings = {
        "valkey_url": valkey_server.url,
        "postgres_dsn": "postgresql://axon_app@127.0.0.1:1/axon",
        "jobs_queue_url": nowhere,
        "history_queue_url": nowhere,
    }
    with healthy(IMAGES[0], scratch, health=servers.ports.reserve(), **settings):
        pass


@pytest.mark.parametrize("name", IMAGES)
def test_worker_image_fits_sagemaker(name: str) -> None:
    image = Dockerfile.read(name).image
    assert image.all("EXPOSE") == ["8080"]
    assert image.all("LABEL") == ["com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true"]
    assert not image.all("CMD")  # `serve` stands there


def test_worker_image_refuses_other_arguments(tmp_path: Path) -> None:
    image = unpack(IMAGES[0], tmp_path).image
    done = run(tmp_path, [*image.command("ENTRYPOINT"), "train"])
    assert done.returncode == 1
    assert done.stderr.startswith("worker: unknown arguments 'train'")
    assert done.stderr.count("\n") == 1
