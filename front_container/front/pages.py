"""Static pages: the same for everybody, served under a strict content security policy."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

_INLINE = re.compile(r"<(script|style)(?:\s[^>]*)?>(.*?)</\1>", re.DOTALL)
_FIXED_POLICY = (
    "default-src 'none'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Kept by browsers, but asked for each time: a new version of the front has a new page.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticFile:
    """A file that is served from memory, and sent again only if it has changed.

    Parameters
    ----------
    body : bytes
        The file.
    content_type : str
        Its media type, with its character set if it is text.
    headers : Mapping[str, str]
        Headers beside those that all files have.

    Attributes
    ----------
    etag : str
        The hash of the body, by which browsers know whether they have it.
    """

    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "etag", hashlib.sha256(self.body).hexdigest()[:32])

    async def serve(self, request: web.Request) -> web.Response:
        """Answer with the file, or with 304 if the client has it."""
        headers = {**_HEADERS, **self.headers, "ETag": f'"{self.etag}"'}
        known = request.if_none_match or ()
        if any(tag.value in (self.etag, "*") for tag in known):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = self.content_type
        return web.Response(body=self.body, headers=headers)


def html_page(html: str) -> StaticFile:
    """Return an HTML document whose scripts and styles stand in itself.

    The policy names them by their hashes, so nothing else runs: no other script, no attribute
    ``style`` or ``onclick``, no other host. The page may send requests to the front alone.
    """
    policy = "; ".join((*_FIXED_POLICY, *_sources(html)))
    return StaticFile(
        body=html.encode(),
        content_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": policy},
    )


def _sources(html: str) -> list[str]:
    """Return the directives for the scripts and styles of a document."""
    sources: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(html):
        digest = b64encode(hashlib.sha256(text.encode()).digest()).decode()
        sources[kind].append(f"'sha256-{digest}'")
    return [f"{kind}-src {' '.join(hashes)}" for kind, hashes in sources.items() if hashes]
