import pytest

from axon.exceptions import RequestError, StoreFullError, TenantFullError, UnavailableError
from axon.protocol.anthropic.errors import check_answered, messages_error
from axon.protocol.errors import INTERNAL_MESSAGE, UNAVAILABLE_MESSAGE
from axon.protocol.objects import Json


def refusal(status: int) -> RequestError:
    return RequestError("No.", code="x", status=status)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (refusal(400), 400, "invalid_request_error"),
        (refusal(401), 401, "authentication_error"),
        (refusal(403), 403, "permission_error"),
        (refusal(404), 404, "not_found_error"),
        (refusal(413), 413, "request_too_large"),
        (refusal(415), 415, "invalid_request_error"),
        (refusal(429), 429, "rate_limit_error"),
        (refusal(502), 502, "api_error"),
        (refusal(503), 529, "overloaded_error"),
        (UnavailableError("valkey-1 is away"), 529, "overloaded_error"),
        (StoreFullError("no memory"), 529, "overloaded_error"),
        (TenantFullError("tenant-1"), 429, "rate_limit_error"),
        (RuntimeError("a secret"), 500, "api_error"),
    ],
)
def test_error_has_the_status_and_the_type_that_sdks_expect(
    error: Exception, status: int, kind: str
) -> None:
    found, body = messages_error(error, request_id="req_1")
    assert (found, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert body["request_id"] == "req_1"


def test_error_tells_nothing_of_an_exception_that_is_not_for_the_client() -> None:
    assert messages_error(RuntimeError("a secret"))[1]["error"]["message"] == INTERNAL_MESSAGE
    assert (
        messages_error(UnavailableError("valkey-1"))[1]["error"]["message"] == UNAVAILABLE_MESSAGE
    )


def test_error_names_a_field_as_this_api_does() -> None:
    error = RequestError("'instructions' is too long.", code="x", param="instructions")
    assert messages_error(error)[1]["error"]["message"] == "'system' is too long."


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (
            {"code": "context_length_exceeded", "message": "9 > 8."},
            400,
            "prompt is too long: 9 > 8.",
        ),
        ({"code": "invalid_prompt", "message": "No."}, 400, "No."),
        ({"code": "rate_limit_exceeded", "message": "Slow."}, 429, "Slow."),
        ({"code": "server_error", "type": "server_overloaded", "message": "Later."}, 529, "Later."),
        ({"code": "server_error", "message": "Broken."}, 500, "Broken."),
        (None, 500, "The model failed to answer. Please retry."),
    ],
)
def test_failed_response_is_an_error_by_its_code(
    error: Json | None, status: int, message: str
) -> None:
    with pytest.raises(RequestError) as caught:
        check_answered({"status": "failed", "error": error})
    found, body = messages_error(caught.value)
    assert (found, body["error"]["message"]) == (status, message)


def test_cancelled_response_is_an_error_that_sdks_repeat() -> None:
    with pytest.raises(RequestError) as caught:
        check_answered({"status": "cancelled", "error": None})
    assert messages_error(caught.value)[0] == 529


@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_response_with_an_answer_is_no_error(status: str) -> None:
    check_answered({"status": status, "error": None})
