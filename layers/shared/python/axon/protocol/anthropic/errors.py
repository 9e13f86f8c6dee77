"""Errors of the Messages API: status and body, as Anthropic's SDKs expect them."""

from collections.abc import Mapping

from axon.exceptions import RequestError
from axon.protocol.errors import view_error_event
from axon.protocol.objects import Json

OVERLOADED = 529
"""Anthropic's status for a service that has more requests than it can take."""
_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}
_NAMES: Mapping[str, str] = {
    "input": "messages",
    "instructions": "system",
    "max_output_tokens": "max_tokens",
    "text.format": "output_config.format",
}
"""Fields of a Responses request by their names here: what is checked behind the translation names
the former."""
_STATUSES: Mapping[str, int] = {
    "context_length_exceeded": 400,
    "invalid_prompt": 400,
    "rate_limit_exceeded": 429,
    "upstream_answer_unusable": 502,
    "server_overloaded": 503,
}
"""Status of a failed response, by its error's `type`, or else its `code`."""
_TOO_LONG = "prompt is too long: "
"""Beginning of the message about a prompt that exceeds the context window. Agents look for it, and
shorten the conversation."""
_FAILED = "The model failed to answer. Please retry."


def messages_error(error: BaseException, *, request_id: str | None = None) -> tuple[int, Json]:
    """Return the status and the body of the answer to a request that an exception has ended.

    In a stream that has begun the body is an event. Of an exception that was not raised for the
    client it says nothing but that there was one.
    """
    event = view_error_event(error, names=_NAMES)
    status = OVERLOADED if event["status"] == 503 else event["status"]
    details = {"type": _type_of(status), "message": event["message"]}
    return status, {"type": "error", "error": details, "request_id": request_id}


def check_answered(response: Json) -> None:
    """Return if a response that has ended has an answer to show: is completed or incomplete.

    Raises
    ------
    RequestError
        It has failed; or it was cancelled, and this API has no word for an answer that somebody
        else has cut short.
    """
    match response["status"]:
        case "failed":
            raise _failure(response["error"] or {})
        case "cancelled":
            # 503, so that SDKs send the request again: this API's clients cannot cancel but by
            # leaving, so the server has cancelled the answer while its client still reads.
            raise RequestError(
                "The answer was cancelled before its end. Please retry.",
                code="response_cancelled",
                status=503,
            )


def _failure(error: Json) -> RequestError:
    code = str(error.get("type") or error.get("code"))
    message = str(error.get("message") or _FAILED)
    return RequestError(
        _TOO_LONG + message if code == "context_length_exceeded" else message,
        code=code,
        status=_STATUSES.get(code, 500),
    )


def _type_of(status: int) -> str:
    default = "api_error" if status >= 500 else "invalid_request_error"
    return _TYPES.get(status, default)
