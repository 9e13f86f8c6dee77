"""Pins images to the digests that their registries have: ``python -m tools.images``.

A tag can be moved to another image; a digest names one image for ever. Each reference
``NAME:TAG@sha256:...`` in the files below is compared with the registry, and changed where it
lacks a digest or has another one.
"""

import json
import re
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    "relay_container/Dockerfile",
    "front_container/Dockerfile",
    "inference_container/Dockerfile",
    "inference_container/Dockerfile.cpu",
    "infra/constructs/tasks/collector.py",
)
"""Files that name images which are pulled to build or to run."""

_IMAGE = re.compile(
    r"(?P<name>[a-z0-9]+(?:[._-][a-z0-9]+)*(?:/[a-z0-9]+(?:[._-][a-z0-9]+)*)+)"
    r":(?P<tag>v?\d+\.\d+[A-Za-z0-9._-]*)"
    r'(?P<between>"?\s*"?)(?:@(?P<digest>sha256:[0-9a-f]{64}))?'
)
_INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_HUB = "registry-1.docker.io"
_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """An image as a file names it; `digest` is None if the file has none."""

    name: str
    tag: str
    digest: str | None

    @property
    def registry(self) -> str:
        """Host of the registry."""
        host = self.name.partition("/")[0]
        return host if "." in host else _HUB

    @property
    def repository(self) -> str:
        """Name within the registry."""
        return self.name.removeprefix(f"{self.registry}/")


class RegistryError(Exception):
    """A registry gave no digest."""


def images_in(text: str) -> Iterator[Image]:
    """Yield the images that a file names."""
    for found in _IMAGE.finditer(text):
        yield Image(name=found["name"], tag=found["tag"], digest=found["digest"])


def pinned(text: str, digest_of: Callable[[Image], str]) -> str:
    """Return the file's text with the digest of each image."""

    def with_digest(found: re.Match[str]) -> str:
        image = Image(name=found["name"], tag=found["tag"], digest=found["digest"])
        # What stands between tag and digest is a line break within a string of Python.
        between = found["between"] if image.digest else ""
        rest = "" if image.digest else found["between"]
        return f"{image.name}:{image.tag}{between}@{digest_of(image)}{rest}"

    return _IMAGE.sub(with_digest, text)


def registry_digest(image: Image, *, scheme: str = "https") -> str:
    """Ask the registry for the digest of an image's tag (OCI Distribution Specification, v2 API).

    Raises
    ------
    RegistryError
        It does not answer, or has no such image.
    """
    url = f"{scheme}://{image.registry}/v2/{image.repository}/manifests/{image.tag}"
    headers = {"Accept": ", ".join(_INDEX_TYPES)}
    try:
        try:
            digest = _digest(url, headers)
        except HTTPError as refusal:
            if refusal.code != 401:
                raise
            token = _anonymous_token(refusal.headers.get("WWW-Authenticate", ""))
            digest = _digest(url, headers | {"Authorization": f"Bearer {token}"})
    except (URLError, OSError, ValueError, KeyError) as error:
        raise RegistryError(f"{image.name}:{image.tag}: {error}") from error
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise RegistryError(f"{image.name}:{image.tag}: the registry gave {digest!r}")
    return digest


def _digest(url: str, headers: dict[str, str]) -> str:
    request = urllib.request.Request(url, headers=headers, method="HEAD")  # noqa: S310 - a registry
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
        return str(answer.headers.get("Docker-Content-Digest", ""))


def _anonymous_token(challenge: str) -> str:
    """Return the token that anybody gets for a public image."""
    parts = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    url = f"{parts['realm']}?service={parts.get('service', '')}&scope={parts.get('scope', '')}"
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - a registry
        return str(json.load(answer)["token"])


def pin(root: Path, digest_of: Callable[[Image], str]) -> list[str]:
    """Pin the images of all files; return one line for each change.

    Raises
    ------
    RegistryError
        A registry gave no digest; files before it are pinned.
    """
    changes = []
    for name in FILES:
        file = root / name
        text = file.read_text()
        new = pinned(text, digest_of)
        if new != text:
            file.write_text(new)
            changes.append(f"{name}: {', '.join(f'{i.name}:{i.tag}' for i in images_in(new))}")
    return changes


def main() -> None:
    """Pin the images of the repository, and print what has changed."""
    try:
        changes = pin(ROOT, registry_digest)
    except RegistryError as error:
        sys.exit(f"pin-images: {error}")
    print("\n".join(changes) or "every image has the digest that its registry has")


if __name__ == "__main__":
    main()
