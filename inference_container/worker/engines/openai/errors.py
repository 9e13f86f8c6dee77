"""Errors of an upstream, by its HTTP status and message."""

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from axon.serialization import loads
from worker.engines.protocol import ContextOverflowError, EngineError, RefusedError

NO_END = "before choices[0].finish_reason and data: [DONE], one of which must end an answer"
_MAX_CHARACTERS = 500
_NO_HEADERS: Mapping[str, str] = {}
# Messages of vLLM, OpenAI, llama.cpp and TGI for a prompt that exceeds the context window.
_OVERFLOW = re.compile(
    r"context.?(length|window|size)|maximum (model )?length|`?inputs`? (must have|tokens \+)",
    re.IGNORECASE,
)


_CODES = {"rate_limit_exceeded": 429, "overloaded": 503}
"""Codes of OpenAI's API and of gateways for what is a status outside of a stream."""
_STATUS_TEXTS = frozenset(map(str, range(400, 600)))


class TransientError(EngineError):
    """The same request may succeed later.

    Attributes
    ----------
    retry_after_s : float | None
        Seconds until then, if the upstream says so.
    status : int | None
        The HTTP status, if it was one that failed.
    """

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.status = status

    @property
    def busy(self) -> bool:
        """Return whether the upstream has too many requests: the job may wait in the queue."""
        return self.status in (429, 503)


class ClosedError(TransientError):
    """The close of the connection ended the stream, before the answer's end.

    It may be the upstream's crash or its own idea of an end: a body that tells neither its length
    nor its last chunk looks the same in both cases.
    """


class StalledError(EngineError):
    """The upstream accepted a request, but sent nothing in time."""


def failure(status: int, body: bytes, *, headers: Mapping[str, str] = _NO_HEADERS) -> EngineError:
    """Return the error for an HTTP status other than 200, or for an error event in a stream."""
    if 300 <= status < 400:
        place = ascii(headers.get("Location", "elsewhere")[:_MAX_CHARACTERS])
        return EngineError(
            f"The upstream redirects to {place} (HTTP {status}), which is not followed: give "
            "the final address as AXON_UPSTREAM_URL."
        )
    message = message_of(body)
    if status in (401, 403):
        return EngineError(
            f"The upstream refused the key (HTTP {status}: {message}): check AXON_UPSTREAM_API_KEY."
        )
    if status in (400, 404, 413, 422):
        overflow = status == 413 or _OVERFLOW.search(message)
        return ContextOverflowError(message) if overflow else RefusedError(message)
    description = f"The upstream answered HTTP {status}: {message}"
    if status == 429 or status >= 500:
        retry_after_s = _seconds(headers.get("Retry-After"))
        return TransientError(description, retry_after_s=retry_after_s, status=status)
    return EngineError(f"{description}: check AXON_UPSTREAM_URL.")


def event_failure(event: Mapping[str, Any], data: bytes) -> EngineError | None:
    """Return the failure that an event of a stream reports instead of a choice, None if none."""
    error = event.get("error")
    if not error and event.get("object") != "error":
        return None
    code = (error if isinstance(error, dict) else event).get("code")
    if isinstance(code, str):
        code = int(code) if code in _STATUS_TEXTS else _CODES.get(code)
    return failure(code if isinstance(code, int) and 400 <= code < 600 else 500, data)


def message_of(body: bytes) -> str:
    """Return the upstream's own message, from whichever field its kind of server uses."""
    try:
        reply: Any = loads(body)
    except ValueError:
        reply = body.decode(errors="replace")
    for name in ("error", "message", "detail"):
        if isinstance(reply, dict) and name in reply:
            reply = reply[name]
    return str(reply).strip()[:_MAX_CHARACTERS] or "no reason given"


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds in a Retry-After header, which is a number or a date (RFC 9110)."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
