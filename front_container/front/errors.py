"""Errors of HTTP requests: from an exception to a status, headers and a body."""

from collections.abc import Callable, Mapping

from axon.exceptions import HistoryPendingError, RequestError, StoreFullError, UnavailableError
from axon.protocol.errors import error_event
from axon.protocol.objects import Json

RETRY_AFTER_S = 2
"""Seconds after which a request is worth a retry that found a service away."""

ErrorShape = Callable[[Exception], tuple[int, Json]]
"""Returns the status and the body of an answer, in the shape that an API's SDK expects."""


def openai_error(error: Exception) -> tuple[int, Json]:
    """Return the status and the body that OpenAI's SDKs expect."""
    event = error_event(error)
    return event["status"], {"error": event["error"]}


def retry_headers(error: Exception) -> Mapping[str, str]:
    """Return ``Retry-After`` for an error that a later repetition of the request may not meet."""
    match error:
        case HistoryPendingError() | StoreFullError():
            return {"Retry-After": str(error.retry_after_s)}
        case UnavailableError() | RequestError(status=429 | 503):
            return {"Retry-After": str(RETRY_AFTER_S)}
    return {}
