import time
from email.utils import formatdate

import pytest

from worker.engines.openai.errors import TransientError, failure, message_of
from worker.engines.protocol import ContextOverflowError, EngineError, RefusedError


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "no", "type": "x"}}', "no"),
        (b'{"object": "error", "message": "no", "code": 400}', "no"),
        (b'{"error": "no", "error_type": "validation"}', "no"),
        (b'{"detail": "no"}', "no"),
        (b'{"detail": [{"loc": ["body"]}]}', "[{'loc': ['body']}]"),
        (b"<html>no</html>", "<html>no</html>"),
        (b"\xff", "\ufffd"),
        (b"", "no reason given"),
        (b"x" * 9999, "x" * 500),
    ],
)
def test_message_of_finds_the_message(body: bytes, message: str) -> None:
    assert message_of(body) == message


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 4096 tokens.",
        "The prompt (length 9) is longer than the maximum model length of 8.",
        "the request exceeds the available context size, try increasing it",
        "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048.",
        "The input (10 tokens) is longer than the model's context length (8 tokens).",
    ],
)
def test_failure_distinguishes_overflows(message: str) -> None:
    assert isinstance(failure(400, message.encode()), ContextOverflowError)
    assert not isinstance(failure(500, message.encode()), ContextOverflowError)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RefusedError), (404, RefusedError), (422, RefusedError), (413, ContextOverflowError),
        (401, EngineError), (403, EngineError), (301, EngineError), (405, EngineError),
        (429, TransientError), (500, TransientError), (504, TransientError),
    ],
)  # fmt: skip
def test_failure_depends_on_the_status(status: int, kind: type[Exception]) -> None:
    assert type(failure(status, b"no")) is kind


def test_failure_reads_retry_after() -> None:
    def told(header: str | None) -> float | None:
        error = failure(429, b"", headers={} if header is None else {"Retry-After": header})
        assert isinstance(error, TransientError)
        return error.retry_after_s

    assert told("1.5") == 1.5
    assert told("-1") == 0
    assert told(None) is told("soon") is None
    assert 50 < (told(formatdate(time.time() + 60, usegmt=True)) or 0) <= 60
