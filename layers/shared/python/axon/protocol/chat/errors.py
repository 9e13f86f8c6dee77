"""Errors of Chat Completions: status and body, as OpenAI's SDKs expect them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from axon.exceptions import StoreFullError
from axon.protocol.errors import error_event
from axon.protocol.objects import Json

_NAMES: Mapping[str, str] = {
    "input": "messages",
    "max_output_tokens": "max_completion_tokens",
    "text.format": "response_format",
    "text.format.schema": "response_format.json_schema.schema",
}
"""Fields of a Responses request by their names here: what is checked behind the translation names
the former."""

_STATUS: Mapping[str, tuple[int, str]] = {
    "context_length_exceeded": (400, "invalid_request_error"),
    "invalid_prompt": (400, "invalid_request_error"),
    "rate_limit_exceeded": (429, "rate_limit_error"),
    "server_overloaded": (503, "server_error"),
    "upstream_answer_unusable": (502, "server_error"),
}
"""Status and type of a failed response, by its error's `type`, or else its `code`."""

_CANCELLED = {
    "message": "The response was cancelled before it ended. Send the request again if you need it.",
    "type": "invalid_request_error",
    "param": None,
    "code": "response_cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """An error as an HTTP answer; in a stream that has begun, its body is one event.

    Parameters
    ----------
    status : int
        HTTP status.
    body : Json
        ``{"error": {...}}``.
    headers : Mapping[str, str]
        Headers besides the content's.
    """

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)


def answer_to(error: BaseException) -> ErrorAnswer:
    """Return the answer to a request that an exception has ended."""
    event = error_event(error)
    details = event["error"]
    param = details["param"]
    return ErrorAnswer(
        status=event["status"],
        body={"error": details | {"param": _NAMES.get(param, param)}},
        headers=event.get("headers", {}),
    )


def answer_to_failure(response: Json) -> ErrorAnswer | None:
    """Return the error that a response's end is for this API.

    Returns
    -------
    ErrorAnswer | None
        None if the response has an answer to show: it is completed or incomplete. One that was
        cancelled has none: this API has no word for an answer that somebody else has cut short.
    """
    match response["status"]:
        case "failed":
            return _failure(response["error"] or {})
        case "cancelled":
            return ErrorAnswer(status=400, body={"error": _CANCELLED})
        case _:
            return None


def _failure(error: Json) -> ErrorAnswer:
    code = error.get("code") or "server_error"
    status, kind = _STATUS.get(error.get("type") or code, (500, "server_error"))
    param = "messages" if code == "context_length_exceeded" else None
    message = error.get("message") or "The response failed. Please retry."
    details = {"message": message, "type": kind, "param": param, "code": error.get("type") or code}
    # The message of a failure by overload asks for the same pause as that of a full memory.
    pause = {"retry-after": str(StoreFullError.retry_after_s)} if status == 503 else {}
    return ErrorAnswer(status=status, body={"error": details}, headers=pause)
