"""Types of settings: how a variable's text is read, and which values are valid."""

import json
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from axon.upstream_hosts import UpstreamHosts, check_host

Seconds = Annotated[float, Field(gt=0)]
Milliseconds = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]
"""A TCP port to listen on; 0: none."""
CallFormatName = Literal[
    "hermes", "mistral", "llama3", "deepseek_v3", "deepseek_v31", "kimi_k2", "qwen3_coder",
    "harmony", "none",
]  # fmt: skip
"""Formats in which a model writes calls of tools; `none`: it is shown no tools."""
ReasoningFormatName = Literal["think", "mistral", "harmony", "none"]
"""Formats in which a model marks its reasoning; `none`: it does not reason."""


def _split(value: object) -> object:
    return (
        tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value
    )


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""Names with commas between them."""


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("give a base URL, for example http://127.0.0.1:11434/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("give the URL without a password: it has a setting of its own")
    check_host(parts.hostname)
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]
"""An HTTP URL to which paths are added."""


def _object(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, object_pairs_hook=_once)
    except ValueError as error:
        raise ValueError(f"must be a JSON object: {error}") from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is there twice")
    return members


def _hosts(entries: tuple[str, ...]) -> tuple[str, ...]:
    UpstreamHosts.parsed(entries)
    return entries


Hosts = Annotated[Names, AfterValidator(_hosts)]
"""Hosts that upstreams may have (`axon.upstream_hosts`)."""


JsonObject = BeforeValidator(_object)
"""A mapping, written as a JSON object."""
