import pytest

from axon.event_log.log import Status
from axon.exceptions import RequestError, StoreFullError, UnavailableError
from axon.protocol.chat.errors import answer_to, answer_to_failure
from tests.unit.axon.protocol.chat.chat_samples import an_answer, end_of, ends


def test_error_names_the_field_of_this_api() -> None:
    answer = answer_to(RequestError("Too long.", code="array_above_max_length", param="input"))
    assert (answer.status, answer.headers) == (400, {})
    assert answer.body == {
        "error": {
            "type": "invalid_request_error",
            "code": "array_above_max_length",
            "message": "Too long.",
            "param": "messages",
        }
    }


def test_error_keeps_other_names_of_fields() -> None:
    answer = answer_to(RequestError("No.", code="model_not_found", param="model", status=404))
    assert (answer.status, answer.body["error"]["param"]) == (404, "model")


def test_error_of_a_full_server_says_when_to_retry() -> None:
    assert answer_to(StoreFullError()).headers == {"retry-after": "60"}
    assert answer_to(UnavailableError()).status == 503


def test_error_of_a_bug_says_nothing_of_it() -> None:
    answer = answer_to(ValueError("secret"))
    assert answer.status == 500
    assert "secret" not in answer.body["error"]["message"]


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        ({"code": "server_error"}, 500, "server_error", "server_error"),
        ({"code": "invalid_prompt"}, 400, "invalid_request_error", "invalid_prompt"),
        (
            {"code": "context_length_exceeded"},
            400,
            "invalid_request_error",
            "context_length_exceeded",
        ),
        (
            {"code": "server_error", "type": "server_overloaded"},
            503,
            "server_error",
            "server_overloaded",
        ),
        (
            {"code": "server_error", "type": "upstream_answer_unusable"},
            502,
            "server_error",
            "upstream_answer_unusable",
        ),
    ],
)
def test_failure_has_the_status_of_its_code(
    error: dict[str, str], status: int, kind: str, code: str
) -> None:
    failed = ends(Status.FAILED, error=error | {"message": "It failed."})
    answer = answer_to_failure(end_of(an_answer(end=failed)))
    assert answer is not None
    assert answer.status == status
    assert ("retry-after" in answer.headers) == (status == 503)
    shown = answer.body["error"]
    assert (shown["type"], shown["code"], shown["message"]) == (kind, code, "It failed.")


def test_cancelled_response_is_an_error_that_no_sdk_retries() -> None:
    answer = answer_to_failure(end_of(an_answer(end=ends(Status.CANCELLED))))
    assert answer is not None
    # The SDKs retry 408, 409, 429 and all from 500 up.
    assert (answer.status, answer.body["error"]["code"]) == (400, "response_cancelled")


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.INCOMPLETE])
def test_answered_response_is_no_failure(status: Status) -> None:
    assert answer_to_failure(end_of(an_answer(end=ends(status)))) is None
