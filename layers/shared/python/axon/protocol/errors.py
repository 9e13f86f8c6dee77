"""The error frame that every SDK version understands."""

from collections.abc import Mapping

from axon.exceptions import (
    AnswerLostError,
    AxonError,
    ConnectionFullError,
    HistoryPendingError,
    RequestError,
    StoreFullError,
    TenantFullError,
    UnavailableError,
)
from axon.protocol.objects import Json, with_stream_id
from axon.serialization import dumps

INTERNAL_MESSAGE = "The server had an error while processing your request. Please retry."

UNAVAILABLE_MESSAGE = "The service cannot take your request at the moment. Please retry."

LOST_MESSAGE = "The answer was lost by a failure of the server. Please send the request again."

FULL_MESSAGE = (
    "The server's memory for running answers is full, so it takes no new requests. "
    "Please retry in a minute; answers that run are not affected."
)

TENANT_FULL_MESSAGE = (
    "Your running responses and unstored conversations hold all the memory that one tenant may "
    "use. Wait until some have ended, close connections whose unstored conversations you no longer "
    "need, or set store to true."
)

VIEW_FULL_MESSAGE = (
    "Your running requests hold all the memory that one tenant may use. Please retry when some "
    "have ended."
)
"""`TENANT_FULL_MESSAGE` for APIs without connections and stored answers."""


CONNECTION_FULL_MESSAGE = (
    "This connection's running responses and unstored conversations hold all the memory that one "
    "connection may use. Wait until some have ended, use another connection, or set store to true."
)


def error_event(error: BaseException, *, stream_id: str | None = None) -> Json:
    """Return the ``error`` event for an exception.

    The details are nested for SDKs from 3.x, agents and Codex, and flat for 2.x. Of an exception
    that was not raised for the client it says nothing but that there was one.
    """
    status, kind, code, message, param = _parts(error)
    details = {"type": kind, "code": code, "message": message, "param": param}
    event: Json = {
        "type": "error",
        "status": status,
        "error": details,
        "code": code,
        "message": message,
        "param": param,
        "sequence_number": 0,
    }
    if isinstance(error, HistoryPendingError | StoreFullError):
        # The headers that an HTTP response would have; Codex reads them from error events.
        event["headers"] = {"retry-after": str(error.retry_after_s)}
    return with_stream_id(event, stream_id)


def view_error_event(error: BaseException, *, names: Mapping[str, str]) -> Json:
    """Return `error_event` as an API shows it that is a view of the Responses API.

    Parameters
    ----------
    error : BaseException
        What has ended the request.
    names : Mapping[str, str]
        Fields of a Responses request by their names in the view's own request.
    """
    event = error_event(error)
    message, param = event["message"], event["param"]
    match error:
        case RequestError():
            message = error.message
        case TenantFullError():
            message = VIEW_FULL_MESSAGE
    if name := names.get(param):
        message = message.replace(f"'{param}'", f"'{name}'")
    changed = {"message": message, "param": names.get(param, param)}
    return event | changed | {"error": event["error"] | changed}


def error_frame(error: BaseException, *, stream_id: str | None = None) -> bytes:
    """Return `error_event` as JSON."""
    return dumps(error_event(error, stream_id=stream_id))


def _parts(error: BaseException) -> tuple[int, str, str, str, str | None]:
    match error:
        case RequestError():
            message = f"{error.message} {error.hint}".rstrip()
            return error.status, "invalid_request_error", error.code, message, error.param
        case HistoryPendingError():
            return 503, "server_error", error.code, error.message, error.param
        case TenantFullError():
            return 429, "rate_limit_error", "tenant_memory_exceeded", TENANT_FULL_MESSAGE, None
        case ConnectionFullError():
            code = "connection_memory_exceeded"
            return 429, "rate_limit_error", code, CONNECTION_FULL_MESSAGE, None
        case StoreFullError():
            return 503, "server_error", "server_full", FULL_MESSAGE, None
        case AnswerLostError():
            return 503, "server_error", "response_lost", LOST_MESSAGE, None
        case UnavailableError():
            return 503, "server_error", "server_overloaded", UNAVAILABLE_MESSAGE, None
        case AxonError() | _:
            return 500, "server_error", "internal_error", INTERNAL_MESSAGE, None
