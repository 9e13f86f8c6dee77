import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tools import images
from tools.images import FILES, ROOT, Image, RegistryError, images_in, pin, pinned, registry_digest

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
NOT_PINNED = {"vllm/vllm-openai:v0.32.0"}
"""Images whose digest is not known yet: `make pin-images` writes it down."""


def test_images_of_the_repository_are_pinned_to_digests() -> None:
    named = [image for name in FILES for image in images_in((ROOT / name).read_text())]
    assert len(named) == 5
    assert {f"{image.name}:{image.tag}" for image in named if image.digest is None} == NOT_PINNED


def test_images_are_looked_for_in_every_dockerfile() -> None:
    found = {
        str(path.relative_to(ROOT))
        for folder in ROOT.glob("*_container")
        for path in folder.glob("Dockerfile*")
        if path.suffix != ".dockerignore"
    }
    assert found == {name for name in FILES if "Dockerfile" in name}
    for name in found:
        # The builder's own frontend: another one would be pulled by its tag.
        assert "syntax=" not in (ROOT / name).read_text()


@pytest.mark.parametrize(
    "text",
    [
        "FROM vllm/vllm-openai:v1.2.3{}\nWORKDIR /axon\n",
        "ARG PYTHON_IMAGE=public.ecr.aws/docker/library/python:3.13.9-slim{}\n",
        'IMAGE = (\n    "public.ecr.aws/a/b:v1.2.3"\n    "{}"\n)\n',
        'IMAGE = "public.ecr.aws/a/b:v1.2.3{}"\n',
    ],
)
def test_images_get_the_registrys_digest(text: str) -> None:
    with_new = text.format(f"@{NEW}")
    assert pinned(text.format(f"@{OLD}"), lambda _: NEW) == with_new
    assert pinned(with_new, lambda _: NEW) == with_new
    if "\n    " not in text:
        assert pinned(text.format(""), lambda _: NEW) == with_new


def test_images_of_all_files_are_pinned(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("FROM a/b:v1.0.0\n")
    assert pin(tmp_path, lambda _: NEW) == [f"{name}: a/b:v1.0.0" for name in FILES]
    assert (tmp_path / FILES[0]).read_text() == f"FROM a/b:v1.0.0@{NEW}\n"
    assert pin(tmp_path, lambda _: NEW) == []


@pytest.mark.parametrize(
    ("name", "registry", "repository"),
    [
        ("vllm/vllm-openai", "registry-1.docker.io", "vllm/vllm-openai"),
        ("public.ecr.aws/docker/library/python", "public.ecr.aws", "docker/library/python"),
    ],
)
def test_image_is_looked_up_at_its_registry(name: str, registry: str, repository: str) -> None:
    image = Image(name=name, tag="v1", digest=None)
    assert (image.registry, image.repository) == (registry, repository)


class Registry(BaseHTTPRequestHandler):
    """Gives a digest to those who have fetched the token that anybody gets."""

    def do_HEAD(self) -> None:
        allowed = self.headers["Authorization"] == "Bearer anybody"
        found = self.path == "/v2/team/image/manifests/v1.0.0"
        self.send_response(401 if not allowed else 200 if found else 404)
        host = self.headers["Host"]
        if not allowed:
            realm = f'Bearer realm="http://{host}/token",service="{host}",scope="pull"'
            self.send_header("WWW-Authenticate", realm)
        elif "index" in self.headers["Accept"]:
            self.send_header("Docker-Content-Digest", NEW)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"token": "anybody"}')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", 0), Registry) as server:
        monkeypatch.setattr(images, "_HUB", f"127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("registry")
def test_registry_tells_the_digest_of_a_tag() -> None:
    image = Image(name="team/image", tag="v1.0.0", digest=None)
    assert registry_digest(image, scheme="http") == NEW
    with pytest.raises(RegistryError, match=r"team/image:v2\.0\.0: .*404"):
        registry_digest(Image(name="team/image", tag="v2.0.0", digest=None), scheme="http")


def test_registry_that_is_away_is_named() -> None:
    image = Image(name="127.0.0.1:9/team/image", tag="v1.0.0", digest=None)
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:9/team/image:v1"):
        registry_digest(image, scheme="http")
