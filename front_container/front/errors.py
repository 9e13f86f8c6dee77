"""Errors of HTTP requests: from an exception to a status, headers and a body."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from axon.exceptions import HistoryPendingError, RequestError, StoreFullError, UnavailableError
from axon.protocol.anthropic.errors import OVERLOADED, messages_error
from axon.protocol.errors import error_event
from axon.protocol.objects import Json
from front.operations.answers.errors import AnthropicError, OpenAIError

RETRY_AFTER_S = 2
"""Seconds after which a request is worth a retry that found a service away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorShape:
    """The errors of an API, as its SDKs expect them.

    Parameters
    ----------
    name : str
        Whose they are; APIs of one name have the same shape.
    of : Callable[[Exception], tuple[int, Json]]
        Returns the status and the body of the answer to a request that failed.
    shape : Any
        The type that describes the body.
    overloaded : tuple[int, ...]
        Statuses of a service that cannot take the request now.
    """

    name: str
    of: Callable[[Exception], tuple[int, Json]]
    shape: Any
    overloaded: tuple[int, ...] = (503,)


def openai_error(error: Exception) -> tuple[int, Json]:
    """Return the status and the body that OpenAI's SDKs expect."""
    event = error_event(error)
    return event["status"], {"error": event["error"]}


OPENAI = ErrorShape(name="OpenAI", of=openai_error, shape=OpenAIError)
MESSAGES = ErrorShape(
    name="Anthropic", of=messages_error, shape=AnthropicError, overloaded=(OVERLOADED,)
)
EITHER = ErrorShape(
    name="Either",
    of=openai_error,
    shape=OpenAIError | AnthropicError,
    overloaded=(503, OVERLOADED),
)
"""Errors of routes that both APIs have: the header ``anthropic-version`` decides."""


def retry_headers(error: Exception) -> Mapping[str, str]:
    """Return ``Retry-After`` for an error that a later repetition of the request may not meet."""
    match error:
        case HistoryPendingError() | StoreFullError():
            return {"Retry-After": str(error.retry_after_s)}
        case UnavailableError() | RequestError(status=429 | 503):
            return {"Retry-After": str(RETRY_AFTER_S)}
    return {}
