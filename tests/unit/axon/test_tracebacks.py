"""Logs of exceptions say what failed and where, and quote no client."""

import json
import logging
import sys
from io import StringIO

import pytest
from pydantic import ValidationError

from axon.adapters.observability.function_logs import function_logger
from axon.exceptions import UnavailableError
from axon.process import JsonFormatter
from axon.protocol.requests import CreateResponse
from axon.tracebacks import QuietTracebacks, describe, format_traceback

CANARY = "canary7f3a91"


def fail() -> None:
    """Raise an error after others, all of which quote a client."""
    try:
        try:
            CreateResponse.model_validate({"model": [CANARY], "input": {"a": CANARY}})
        except ValidationError as error:
            raise KeyError(CANARY) from error
    except KeyError:
        raise ExceptionGroup(CANARY, [ValueError(CANARY), UnavailableError("no queue")]) from None


def test_traceback_has_places_and_types_and_only_axon_s_messages() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        fail()
    text = format_traceback(caught.value)
    assert CANARY not in text
    for known in ("in fail", "ExceptionGroup", "ValueError", "UnavailableError: no queue"):
        assert known in text


def test_traceback_shows_what_led_to_it() -> None:
    try:
        try:
            int(CANARY)
        except ValueError as error:
            raise UnavailableError("away") from error
    except UnavailableError as error:
        text = format_traceback(error)
    assert text.index("ValueError") < text.index("UnavailableError: away")
    assert CANARY not in text


def test_description_keeps_the_words_of_axon_and_of_the_system() -> None:
    assert describe(UnavailableError("no queue")) == "UnavailableError: no queue"
    assert describe(ConnectionResetError("reset")) == "ConnectionResetError: reset"
    assert describe(KeyError(CANARY)) == "KeyError"


@pytest.mark.parametrize("formatter", [QuietTracebacks("%(message)s"), JsonFormatter()])
def test_formatter_of_a_process_quotes_nobody(formatter: logging.Formatter) -> None:
    try:
        fail()
    except ExceptionGroup:
        record = logging.LogRecord("a", 40, "f", 1, "it failed", (), sys.exc_info())
    text = formatter.format(record)
    assert "in fail" in text
    assert CANARY not in text


def test_log_of_a_function_quotes_nobody() -> None:
    logger = function_logger("canary-test")
    stream = StringIO()
    logger.handlers[0].stream = stream  # type: ignore[attr-defined]
    try:
        fail()
    except ExceptionGroup:
        logger.exception("message failed", extra={"response_id": "resp_1"})
    entry = json.loads(stream.getvalue())
    assert (entry["message"], entry["response_id"]) == ("message failed", "resp_1")
    assert (entry["service"], entry["level"]) == ("canary-test", "ERROR")
    assert "in fail" in entry["exception"]
    assert CANARY not in stream.getvalue()


def test_validation_error_of_a_request_hides_its_input() -> None:
    with pytest.raises(ValidationError) as caught:
        CreateResponse.model_validate({"model": [CANARY], "input": [{"role": CANARY}]})
    assert CANARY not in str(caught.value)
