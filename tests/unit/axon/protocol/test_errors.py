import pytest
from openai.types.responses import ResponseErrorEvent

from axon.exceptions import (
    AxonError,
    ConnectionFullError,
    FencedError,
    HistoryPendingError,
    MissingResponseError,
    RequestError,
    SettingsError,
    StoreFullError,
    TenantFullError,
    UnavailableError,
)
from axon.protocol.errors import (
    FULL_MESSAGE,
    INTERNAL_MESSAGE,
    UNAVAILABLE_MESSAGE,
    error_event,
    error_frame,
)
from axon.serialization import loads

REFUSED = RequestError(
    "Previous response with id 'resp_1' not found.",
    code="previous_response_not_found",
    param="previous_response_id",
)


def test_error_event_of_a_refused_request_is_nested_and_flat() -> None:
    assert loads(error_frame(REFUSED)) == {
        "type": "error",
        "status": 400,
        "error": {
            "type": "invalid_request_error",
            "code": "previous_response_not_found",
            "message": "Previous response with id 'resp_1' not found.",
            "param": "previous_response_id",
        },
        "code": "previous_response_not_found",
        "message": "Previous response with id 'resp_1' not found.",
        "param": "previous_response_id",
        "sequence_number": 0,
    }


def test_error_event_is_valid_for_the_sdk() -> None:
    frame = error_frame(RequestError("No.", code="model_not_found", status=404), stream_id="s")
    event = ResponseErrorEvent.model_validate_json(frame, strict=True)
    assert (event.code, event.message, event.param) == ("model_not_found", "No.", None)


def test_error_event_echoes_the_stream_id() -> None:
    assert error_event(REFUSED, stream_id="stream-7")["stream_id"] == "stream-7"
    assert "stream_id" not in error_event(REFUSED)


def test_error_event_of_an_unavailable_service_says_retry() -> None:
    event = error_event(UnavailableError("Valkey: cannot connect to 10.0.0.7"))
    assert event["status"] == 503
    assert event["error"]["type"] == "server_error"
    assert event["code"] == "server_overloaded"
    assert event["message"] == UNAVAILABLE_MESSAGE


def test_error_event_of_a_response_that_is_not_stored_yet_says_when_to_retry() -> None:
    frame = error_frame(HistoryPendingError("resp_1", retry_after_s=7))
    message = "Previous response with id 'resp_1' is not stored yet. Please retry in 7 seconds."
    event = loads(frame)
    assert (event["status"], event["headers"]) == (503, {"retry-after": "7"})
    assert event["error"] == {
        "type": "server_error",
        "code": "previous_response_not_ready",
        "message": message,
        "param": "previous_response_id",
    }
    parsed = ResponseErrorEvent.model_validate_json(frame, strict=True)
    assert (parsed.code, parsed.message) == ("previous_response_not_ready", message)


def test_error_event_of_a_tenant_that_holds_too_much_names_the_remedy() -> None:
    event = error_event(TenantFullError("tenant t"))
    assert (event["status"], event["code"]) == (429, "tenant_memory_exceeded")
    assert event["error"]["type"] == "rate_limit_error"
    assert "store to true" in event["message"]
    assert "tenant t" not in event["message"]


def test_error_event_of_a_connection_that_holds_too_much_names_the_remedy() -> None:
    event = error_event(ConnectionFullError("connection c"))
    assert (event["status"], event["code"]) == (429, "connection_memory_exceeded")
    assert event["headers"] == {"retry-after": "60"}
    assert "another connection" in event["message"]
    assert "connection c" not in event["message"]


def test_error_event_of_a_full_store_says_when_to_retry() -> None:
    event = error_event(StoreFullError("Valkey: command not allowed"))
    assert event["status"] == 503
    assert event["error"]["type"] == "server_error"
    assert event["code"] == "server_full"
    assert event["headers"] == {"retry-after": "60"}
    assert event["message"] == FULL_MESSAGE


@pytest.mark.parametrize(
    "error",
    [
        ValueError("password=secret"),
        AxonError("secret"),
        FencedError("secret"),
        MissingResponseError("secret"),
        SettingsError("secret"),
        KeyError("secret"),
        BaseException("secret"),
    ],
)
def test_error_event_of_another_error_reveals_nothing(error: BaseException) -> None:
    event = error_event(error)
    assert event["status"] == 500
    assert event["error"] == {
        "type": "server_error",
        "code": "internal_error",
        "message": INTERNAL_MESSAGE,
        "param": None,
    }
    assert b"secret" not in error_frame(error)
