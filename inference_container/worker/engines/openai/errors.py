"""What an upstream's answer other than 200 means."""

import re
import time
from email.utils import parsedate_to_datetime
from typing import Any

from axon.serialization import loads
from worker.engines.protocol import ContextOverflowError, EngineError, RefusedError

_MOST_CHARACTERS = 500
_OVERFLOW = re.compile(
    r"context.?(length|window|size)|maximum (model )?length|`?inputs`? (must have|tokens \+)",
    re.IGNORECASE,
)


class TransientError(EngineError):
    """The upstream may answer the same request later; after `retry_after_s`, if it says so."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StalledError(EngineError):
    """The upstream took a request, and nothing came in time."""


def failure(status: int, body: bytes, *, retry_after: str | None = None) -> EngineError:
    """Return the error for an HTTP status, also one told within a stream."""
    message = message_of(body)
    if status in (401, 403):
        return EngineError(
            f"The upstream refused the key (HTTP {status}: {message}): check AXON_UPSTREAM_API_KEY."
        )
    if status in (400, 404, 413, 422):
        overflow = status == 413 or _OVERFLOW.search(message)
        return ContextOverflowError(message) if overflow else RefusedError(message)
    told = f"The upstream answered HTTP {status}: {message}"
    if status == 429 or status >= 500:
        return TransientError(told, retry_after_s=_seconds(retry_after))
    return EngineError(f"{told}: check AXON_UPSTREAM_URL.")


def message_of(body: bytes) -> str:
    """Return the upstream's own words, from whichever field its kind of server puts them in."""
    try:
        told: Any = loads(body)
    except ValueError:
        told = body.decode(errors="replace")
    for name in ("error", "message", "detail"):
        if isinstance(told, dict) and name in told:
            told = told[name]
    return str(told).strip()[:_MOST_CHARACTERS] or "no reason given"


def _seconds(retry_after: str | None) -> float | None:
    """Read the header: seconds, or a date."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds)
