"""Errors of Chat Completions: status and body, as OpenAI's SDKs expect them."""

from collections.abc import Mapping

from axon.exceptions import RequestError
from axon.protocol.errors import view_error_event
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

_TOO_LONG = "This model's maximum context length is exceeded. "
"""Beginning of the message about a prompt that exceeds the context window. LiteLLM looks for its
first words, and takes another model or shortens the conversation."""


class FailedResponseError(RequestError):
    """A response that ended without an answer to show: here it is an error, not an object.

    Parameters
    ----------
    message : str
        The text for the client.
    code : str
        The code for the client.
    param : str | None
        The request's field that is to blame, if one is.
    status : int
        HTTP status.
    kind : str
        The error's `type`.
    """

    def __init__(
        self, message: str, *, code: str, param: str | None = None, status: int, kind: str
    ) -> None:
        super().__init__(message, code=code, param=param, status=status)
        self.kind = kind


def chat_error(error: Exception) -> tuple[int, Json]:
    """Return the status and the body of the answer to a request that failed.

    In a stream that has begun, the body is the data of its last event.
    """
    return error_body(error, names=_NAMES)


def error_body(error: Exception, *, names: Mapping[str, str]) -> tuple[int, Json]:
    """Return the status and the body of an error.

    Parameters
    ----------
    error : Exception
        What has ended the request.
    names : Mapping[str, str]
        Fields of a Responses request by their names in the view's own request.
    """
    event = view_error_event(error, names=names)
    details = event["error"]
    if isinstance(error, FailedResponseError):
        details["type"] = error.kind
    return event["status"], {"error": details}


def check_answered(response: Json) -> None:
    """Return if a response that has ended has an answer to show: is completed or incomplete.

    Raises
    ------
    FailedResponseError
        It has failed; or it was cancelled, and this API has no word for an answer that somebody
        else has cut short.
    """
    match response["status"]:
        case "failed":
            raise _failure(response["error"] or {})
        case "cancelled":
            # 503, so that SDKs send the request again: this API's clients cannot cancel but by
            # leaving, so the server has cancelled the response while its client still reads.
            raise FailedResponseError(
                "The response was cancelled before it ended. Please retry.",
                code="response_cancelled",
                status=503,
                kind="server_error",
            )


def _failure(error: Json) -> FailedResponseError:
    code = error.get("type") or error.get("code") or "server_error"
    status, kind = _STATUS.get(code, (500, "server_error"))
    message = error.get("message") or "The response failed. Please retry."
    too_long = code == "context_length_exceeded"
    return FailedResponseError(
        _TOO_LONG + message if too_long else message,
        code=code,
        param="input" if too_long else None,
        status=status,
        kind=kind,
    )
