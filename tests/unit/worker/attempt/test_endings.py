"""The table of what follows from each exception, row by row."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

import pytest

import worker.attempt
import worker.pipeline
from axon.exceptions import (
    FencedError,
    LostPayloadError,
    MissingResponseError,
    PermanentRefusalError,
    RequestError,
    UnavailableError,
)
from axon.formats import UnreadableLogError
from worker.attempt.endings import (
    CONDEMNED,
    ENDINGS,
    ENGINE_FAILED,
    INPUT_LOST,
    OVERLOADED,
    REFUSED_FOR_GOOD,
    UNEXPECTED,
    UNUSABLE,
    CondemnedError,
    OutsideFailure,
    ResponseFailure,
    ending_of,
    escalated_ending_of,
)
from worker.attempt.fence_watch import FenceNoticedError
from worker.attempt.retry_policy import OverdueError, ShedError
from worker.claimers import DuplicateError, EndedError
from worker.engines.protocol import (
    BusyError,
    ContextOverflowError,
    EngineDeadError,
    EngineError,
    RefusedError,
    UnloadedError,
    UnusableAnswerError,
)
from worker.outcome import AttemptOutcome, AttemptResult, MessageAction
from worker.pipeline.stage import StageFullError
from worker.quarantine import QuarantineBusyError
from worker.shutdown import HandedOverError

REFUSED = RequestError("No room.", code="context_length_exceeded")
SHED = ShedError("infer", "deadline")

ROWS: list[tuple[Exception, str, str, object]] = [
    # exception, outcome, action on the message, error for the client
    (REFUSED, "failed", "DELETE", {"code": "context_length_exceeded", "message": "No room."}),
    (
        RequestError("Gone.", code="previous_response_not_found"),
        "failed", "DELETE", {"code": "invalid_prompt", "message": "Gone."},
    ),
    (
        ContextOverflowError("Too long."),
        "failed", "DELETE", {"code": "context_length_exceeded", "message": "Too long."},
    ),
    (
        RefusedError("Not here."),
        "failed", "DELETE", {"code": "invalid_prompt", "message": "Not here."},
    ),
    (
        EngineError("at 0x7f"),
        "failed", "DELETE", {"code": "server_error", "message": ENGINE_FAILED},
    ),
    (
        UnusableAnswerError("usage is text"),
        "failed", "DELETE",
        {"code": "server_error", "message": "usage is text", "type": UNUSABLE},
    ),
    (
        PermanentRefusalError("AccessDenied"),
        "failed", "DELETE", {"code": "server_error", "message": REFUSED_FOR_GOOD},
    ),
    (
        LostPayloadError("gone"),
        "failed", "DELETE", {"code": "server_error", "message": INPUT_LOST},
    ),
    (
        CondemnedError(),
        "condemned", "PARK", {"code": "invalid_prompt", "message": CONDEMNED},
    ),
    (SHED, "shed", "DELETE", OVERLOADED),
    (OverdueError("late"), "overdue", "DELETE", OutsideFailure.OVERDUE),
    (MissingResponseError("lost"), "failed", "DELETE", OutsideFailure.LOST),
    (EndedError("ended"), "cancelled", "DELETE", None),
    (DuplicateError("twice"), "duplicate", "DELETE", None),
    (FencedError("fenced"), "fenced", "LEAVE", None),
    (FenceNoticedError("fenced"), "fenced", "LEAVE", None),
    (UnreadableLogError("resp_1"), "released", "POSTPONE", None),
    (StageFullError("infer"), "delayed", "DELAY", None),
    (BusyError("later"), "delayed", "DELAY", None),
    (QuarantineBusyError(), "suspect", "WAIT", None),
    (HandedOverError(), "released", "RELEASE", None),
    (UnloadedError("gone"), "released", "RELEASE", None),
    (UnavailableError("away"), "released", "RELEASE", None),
    (EngineDeadError("dead"), "released", "RELEASE", None),
    (Exception("a bug"), "released", "LEAVE", None),
]  # fmt: skip


def told(error: Exception) -> object:
    client = ending_of(error).client
    return client.wire(error) if isinstance(client, ResponseFailure) else client


@pytest.mark.parametrize(("error", "outcome", "message", "client"), ROWS)
def test_ending_of_an_exception_is_its_row(
    error: Exception, outcome: str, message: str, client: object
) -> None:
    ending = ending_of(error)
    assert (ending.outcome.value, ending.message.name) == (outcome, message)
    assert told(error) == client


def test_endings_without_a_fault_are_those_of_the_worker_and_its_services() -> None:
    faultless = {kind for kind, ending in ENDINGS.items() if ending.faultless}
    assert faultless == {
        StageFullError,
        BusyError,
        QuarantineBusyError,
        HandedOverError,
        UnloadedError,
        UnavailableError,
    }


def test_endings_have_no_other_rows() -> None:
    assert set(ENDINGS) == {type(error) for error, *_ in ROWS}


@pytest.mark.parametrize("error", [error for error, *_ in ROWS])
def test_ending_of_a_subclass_is_the_row_of_its_nearest_class(error: Exception) -> None:
    subclass = type("Subclass", (type(error),), {"__init__": lambda self: None})
    assert ending_of(subclass()) is ENDINGS[type(error)]


def test_ending_of_an_unknown_exception_leaves_the_message() -> None:
    assert ending_of(KeyError("a bug")) is UNEXPECTED


def modules() -> Iterator[str]:
    """The modules of which exceptions can reach an attempt."""
    yield from ("worker.held_log", "worker.shutdown", "worker.engines.protocol")
    for package in (worker.attempt, worker.pipeline):
        for module in pkgutil.iter_modules(package.__path__):
            yield f"{package.__name__}.{module.name}"


@pytest.mark.parametrize("name", [*modules()])
def test_endings_have_a_row_for_every_exception_of(name: str) -> None:
    defined = {
        each
        for each in vars(import_module(name)).values()
        if isinstance(each, type) and issubclass(each, Exception) and each.__module__ == name
    }
    assert defined <= set(ENDINGS)


@pytest.mark.parametrize("error", [error for error, *_ in ROWS])
def test_ending_has_the_outcome_and_the_message_action_of_its_row_as_result(
    error: Exception,
) -> None:
    ending = ending_of(error)
    assert ending.result == AttemptResult(outcome=ending.outcome, message=ending.message)


def test_result_of_a_busy_engine_has_its_wait() -> None:
    error = BusyError("later", retry_after_s=7.5)
    assert ending_of(error).result_of(error).wait_s == 7.5
    assert ending_of(SHED).result_of(SHED).wait_s == 0


def test_endings_escalate_only_for_the_workers_own_troubles() -> None:
    escalating = {each for each, ending in ENDINGS.items() if ending.escalates}
    assert escalating == {UnavailableError, EngineDeadError, Exception}


@pytest.mark.parametrize("error", [error for error, *_ in ROWS])
def test_escalated_ending_deletes_no_message(error: Exception) -> None:
    ending = escalated_ending_of(error)
    assert ending is (ENDINGS[type(error)] if ending_of(error).escalates else UNEXPECTED)
    assert ending.message is not MessageAction.DELETE
    assert ending.outcome is AttemptOutcome.RELEASED


def test_endings_let_only_an_overload_be_retried_by_the_client() -> None:
    retryable = {
        each
        for each, ending in ENDINGS.items()
        if isinstance(ending.client, ResponseFailure) and ending.client.retryable
    }
    assert retryable == {ShedError}
