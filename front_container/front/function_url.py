"""Requests and answers of a Lambda function URL: to HTTP and back, without I/O.

An event is of payload format 2.0; an answer is a stream that begins with its status and headers
(``application/vnd.awslambda.http-integration-response``, as AWS's runtimes for Node.js send it).
"""

from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

from axon.serialization import dumps

STREAM_TYPE = "application/vnd.awslambda.http-integration-response"
_DELIMITER = bytes(8)
"""Ends the status and the headers (HttpResponseStream.js of AWS's runtime interface client)."""

_HOPS = frozenset(
    (
        *("connection", "content-length", "expect", "keep-alive", "te", "trailer"),
        *("transfer-encoding", "upgrade", "x-forwarded-for"),
    )
)
"""Headers of one hop, and the one that is replaced."""
_UNESCAPED = "/%!$&'()*+,;=:@-._~"
"""The characters of a path (RFC 3986); a ``%`` begins what has been escaped before."""


class UnexpectedEventError(Exception):
    """The event is not one of a function URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlRequest:
    """A request as HTTP has it; `target` is the path with the query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @classmethod
    def parse(cls, event: dict[str, Any]) -> Self:
        """Return the request that an event describes.

        The client's address comes from Lambda's own part of the event: headers are the client's
        text.

        Raises
        ------
        UnexpectedEventError
            The event lacks what those of function URLs have.
        """
        try:
            http = event["requestContext"]["http"]
            query = event.get("rawQueryString")
            path = quote(event["rawPath"], safe=_UNESCAPED)
            text = event.get("body") or ""
            encoded = event.get("isBase64Encoded")
            return cls(
                method=http["method"],
                target=f"{path}?{query}" if query else path,
                headers={
                    **{k: v for k, v in event["headers"].items() if k.lower() not in _HOPS},
                    "X-Forwarded-For": http["sourceIp"],
                },
                body=b64decode(text, validate=True) if encoded else text.encode(),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UnexpectedEventError(f"no event of a function URL: {error!r}") from error


def answer_prelude(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return the beginning of an answer's stream; the body follows it as it is."""
    joined: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key not in _HOPS:
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return dumps({"statusCode": status, "headers": joined}) + _DELIMITER
