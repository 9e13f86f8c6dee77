import pytest

from axon.exceptions import RequestError, UnavailableError
from axon.responses.terminator import OVERDUE
from worker.attempt.endings import ENGINE_FAILED, OVERLOADED
from worker.sagemaker.failure import Failure


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RequestError("no", code="invalid_value", param="input"), 400, "invalid_value"),
        (UnavailableError("secret"), 503, "server_overloaded"),
        (TimeoutError(), 504, "server_error"),
        (ValueError("secret"), 500, "internal_error"),
    ],
)
def test_failure_of_an_exception_has_its_status_and_code(
    error: Exception, status: int, code: str
) -> None:
    failure = Failure.of(error)
    assert (failure.status, failure.code) == (status, code)
    assert "secret" not in failure.message


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OVERLOADED, 503, "server_overloaded"),
        (OVERDUE, 504, "server_error"),
        ({"code": "server_error", "message": ENGINE_FAILED}, 500, "server_error"),
        ({"code": "invalid_prompt", "message": "too long"}, 400, "invalid_prompt"),
        ({"code": "server_error", "message": "Use 'text'."}, 400, "invalid_value"),
    ],
)
def test_failure_of_a_failed_response_has_its_status_and_code(
    error: dict[str, str], status: int, code: str
) -> None:
    failure = Failure.of_response(error)
    assert (failure.status, failure.code, failure.message) == (status, code, error["message"])
