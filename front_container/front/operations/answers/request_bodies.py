"""Shapes of answers about uploaded bodies."""

from typing import Literal

from typing_extensions import TypedDict


class UploadTarget(TypedDict):
    """The request that uploads a body."""

    method: Literal["PUT"]
    url: str
    headers: dict[str, str]
    """Headers that it must have; HTTP clients add Content-Length themselves."""
    expires_at: int
    """Seconds of the Unix epoch."""


class UploadedBody(TypedDict):
    """A body that is, or will be, uploaded."""

    id: str
    object: Literal["request_body"]
    bytes: int
    sha256: str
    upload: UploadTarget
