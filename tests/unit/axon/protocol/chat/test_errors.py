import pytest

from axon.event_log.log import Status
from axon.exceptions import RequestError, StoreFullError, TenantFullError
from axon.protocol.anthropic.errors import messages_error
from axon.protocol.chat.errors import FailedResponseError, chat_error, check_answered
from axon.protocol.errors import error_event
from axon.responses.request_size import JOB_BYTES, check_queued
from tests.unit.axon.protocol.chat.chat_samples import an_answer, end_of, ends


def failure(status: Status, **fields: object) -> FailedResponseError:
    with pytest.raises(FailedResponseError) as caught:
        check_answered(end_of(an_answer(end=ends(status, **fields))))
    return caught.value


def test_error_names_the_field_of_this_api() -> None:
    status, body = chat_error(
        RequestError("Too long.", code="array_above_max_length", param="input")
    )
    assert status == 400
    assert body == {
        "error": {
            "type": "invalid_request_error",
            "code": "array_above_max_length",
            "message": "Too long.",
            "param": "messages",
        }
    }


def test_error_keeps_other_names_of_fields() -> None:
    status, body = chat_error(
        RequestError("No.", code="model_not_found", param="model", status=404)
    )
    assert (status, body["error"]["param"]) == (404, "model")


def test_error_of_a_full_server_is_worth_a_retry() -> None:
    status, body = chat_error(StoreFullError())
    assert (status, body["error"]["type"]) == (503, "server_error")


def test_error_of_a_bug_says_nothing_of_it() -> None:
    status, body = chat_error(ValueError("secret"))
    assert status == 500
    assert "secret" not in body["error"]["message"]


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
    found = failure(Status.FAILED, error=error | {"message": "It failed."})
    too_long = code == "context_length_exceeded"
    prefix = "This model's maximum context length is exceeded. " if too_long else ""
    assert chat_error(found) == (
        status,
        {
            "error": {
                "type": kind,
                "code": code,
                "message": prefix + "It failed.",
                "param": "messages" if code == "context_length_exceeded" else None,
            }
        },
    )


def test_cancelled_response_is_an_error_that_sdks_retry() -> None:
    found = failure(Status.CANCELLED)
    assert (found.status, found.code, found.kind) == (503, "response_cancelled", "server_error")


def test_failure_of_a_long_prompt_begins_as_litellm_expects() -> None:
    found = failure(
        Status.FAILED, error={"code": "context_length_exceeded", "message": "It failed."}
    )
    assert found.message.startswith("This model's maximum context length is exceeded. ")


def test_error_of_size_names_no_field_or_remedy_of_the_responses_api() -> None:
    with pytest.raises(RequestError) as caught:
        check_queued(b"x" * (JOB_BYTES + 1))
    assert "previous_response_id" in error_event(caught.value)["message"]
    for shown in (chat_error, messages_error):
        message = shown(caught.value)[1]["error"]["message"]
        assert "Shorten 'messages'." in message
        assert "previous_response_id" not in message
        assert "store" not in shown(TenantFullError())[1]["error"]["message"]


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.INCOMPLETE])
def test_answered_response_is_no_failure(status: Status) -> None:
    check_answered(end_of(an_answer(end=ends(status))))
