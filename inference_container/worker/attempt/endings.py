"""The endings of attempts: the one table of what follows from each exception.

Attempt code raises. `ENDINGS` maps each exception to the outcome that is counted, the action on the
job's message, and the failure that the client gets. Three layers apply it, each in one handler of
`Exception`, inner ones first:

1. `Attempt.run` ends the response under its own epoch (`ResponseFailure`).
2. `JobRunner.run` ends the response where no attempt has an epoch for it (`OutsideFailure`).
3. `Consumer` deletes, releases, delays or leaves the message (`MessageAction`).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from axon.exceptions import (
    FencedError,
    LostPayloadError,
    MissingResponseError,
    PermanentRefusalError,
    RequestError,
    UnavailableError,
)
from axon.formats import UnreadableLogError
from axon.responses import terminator
from axon.tracebacks import describe
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

logger = logging.getLogger(__name__)


class CondemnedError(Exception):
    """The request ran alone on a worker and killed it: no other attempt is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFailure:
    """The `error` of the `response.failed` with which an attempt ends its response.

    Parameters
    ----------
    code : str
        One of OpenAI's codes for failed responses, by which clients decide what to do: they repeat
        after `server_error`, and compact a conversation after `context_length_exceeded`.
    message : str | None
        Text for the client; None for the exception's own, where that is written for the client.
    type : str | None
        Axon's own addition, where no code says it.
    retryable : bool
        The client is asked to send the same request again, so what it continues is not evicted.
    """

    code: str
    message: str | None = None
    type: str | None = None
    retryable: bool = False

    def wire(self, error: Exception) -> dict[str, str]:
        """Return the error object for a response that failed with this exception."""
        code = getattr(error, "code", None)
        wire = {
            "code": OVERFLOW if code == OVERFLOW else self.code,
            "message": self.message or str(error),
        }
        return wire | {"type": self.type} if self.type else wire


class OutsideFailure(Enum):
    """A `response.failed` that the runner appends from outside the attempt."""

    OVERDUE = auto()
    """The terminator ends the response, unless that has ended already."""
    LOST = auto()
    """The log is made again with nothing but the failure, unless the response ended before."""


OVERFLOW = "context_length_exceeded"

UNUSABLE = "upstream_answer_unusable"
"""The `type` of a failure that is the upstream's, and that no repetition mends."""

ENGINE_FAILED = "The model failed to answer. Please retry."

REFUSED_FOR_GOOD = (
    "A service that the answer needs refuses the server's calls. The operator must correct the "
    "deployment before the request can succeed."
)

CONDEMNED = (
    "The request made workers fail repeatedly and was given up. Change it before you send it again."
)

INPUT_LOST = (
    "The input of the request, or of a turn before it, is not kept any more. Please send the whole "
    "request again."
)

LOST = terminator.LOST

# OpenAI has no code for overload among those of failed responses; `type` may be any.
_OVERLOADED = ResponseFailure(
    code="server_error",
    type="server_overloaded",
    message="The server has more requests than it can answer. Please retry in a minute.",
    retryable=True,
)
OVERLOADED = _OVERLOADED.wire(Exception())


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A row of the table: what follows when an exception ends an attempt.

    Parameters
    ----------
    outcome : AttemptOutcome
        Outcome in metrics and traces.
    message : MessageAction
        Action on the job's message.
    client : ResponseFailure | OutsideFailure | None
        The failure that the client gets; None if another attempt or terminator answers it.
    faultless : bool
        The request is not to blame: the attempt does not count.
    escalates : bool
        The error is the worker's trouble, not the job's: the runner passes it on to the consumer.
    log_level : int
        Level at which the error is logged; from `logging.ERROR` with its traceback.
    """

    outcome: AttemptOutcome
    message: MessageAction
    client: ResponseFailure | OutsideFailure | None = None
    faultless: bool = False
    escalates: bool = False
    log_level: int = logging.DEBUG

    @property
    def result(self) -> AttemptResult:
        """The result of an attempt that ended so."""
        return AttemptResult(outcome=self.outcome, message=self.message)

    def result_of(self, error: Exception) -> AttemptResult:
        """Return the result of an attempt that this error ended."""
        wait_s = error.retry_after_s if isinstance(error, BusyError) else 0.0
        return replace(self.result, wait_s=wait_s)

    def log(self, response_id: str, error: Exception) -> None:
        """Log the error that ended an attempt at this response."""
        traceback = error if self.log_level >= logging.ERROR else None
        logger.log(
            self.log_level,
            "%s %s: %s",
            response_id,
            self.outcome,
            describe(error),
            exc_info=traceback,
        )


UNEXPECTED = Ending(
    outcome=AttemptOutcome.RELEASED,
    message=MessageAction.LEAVE,
    escalates=True,
    log_level=logging.ERROR,
)
"""The row of a bug: another attempt follows after the visibility timeout. Released at once, a job
that fails quickly would use up its receives in a moment, and end as a dead letter before anybody
could react."""

ENDINGS: Mapping[type[Exception], Ending] = {
    # The job's own fault, or its engine's: no other attempt would do better.
    RequestError: Ending(
        outcome=AttemptOutcome.FAILED,
        message=MessageAction.DELETE,
        client=ResponseFailure(code="invalid_prompt"),
    ),
    ContextOverflowError: Ending(
        outcome=AttemptOutcome.FAILED,
        message=MessageAction.DELETE,
        client=ResponseFailure(code=OVERFLOW),
    ),
    RefusedError: Ending(
        outcome=AttemptOutcome.FAILED,
        message=MessageAction.DELETE,
        client=ResponseFailure(code="invalid_prompt"),
    ),
    EngineError: Ending(
        outcome=AttemptOutcome.FAILED,
        message=MessageAction.DELETE,
        client=ResponseFailure(code="server_error", message=ENGINE_FAILED),
        log_level=logging.ERROR,
    ),
    # The upstream would answer every other attempt in the same way.
    UnusableAnswerError: Ending(
        outcome=AttemptOutcome.FAILED,
        message=MessageAction.DELETE,
        client=ResponseFailure(code="server_error", type=UNUSABLE),
        log_level=logging.WARNING,
    ),
    # A service refuses a call of the attempt, and would refuse it in every other attempt.
    PermanentRefusalError: Ending(
        outcome=AttemptOutcome.FAILED,
        message=MessageAction.DELETE,
        client=ResponseFailure(
            code="server_error",
            message=REFUSED_FOR_GOOD,
        ),
        log_level=logging.ERROR,
    ),
    # Nobody has the input any more.
    LostPayloadError: Ending(
        outcome=AttemptOutcome.FAILED,
        message=MessageAction.DELETE,
        client=ResponseFailure(code="server_error", message=INPUT_LOST),
        log_level=logging.WARNING,
    ),
    # No other attempt is made.
    CondemnedError: Ending(
        outcome=AttemptOutcome.CONDEMNED,
        message=MessageAction.PARK,
        client=ResponseFailure(code="invalid_prompt", message=CONDEMNED),
        log_level=logging.ERROR,
    ),
    # No other attempt is possible.
    ShedError: Ending(
        outcome=AttemptOutcome.SHED,
        message=MessageAction.DELETE,
        client=_OVERLOADED,
        log_level=logging.INFO,
    ),
    OverdueError: Ending(
        outcome=AttemptOutcome.OVERDUE,
        message=MessageAction.DELETE,
        client=OutsideFailure.OVERDUE,
        log_level=logging.WARNING,
    ),
    MissingResponseError: Ending(
        outcome=AttemptOutcome.FAILED,
        message=MessageAction.DELETE,
        client=OutsideFailure.LOST,
        log_level=logging.WARNING,
    ),
    # Another attempt or a terminator has the response, and answers the client.
    EndedError: Ending(outcome=AttemptOutcome.CANCELLED, message=MessageAction.DELETE),
    DuplicateError: Ending(outcome=AttemptOutcome.DUPLICATE, message=MessageAction.DELETE),
    # The newer attempt needs the message: if its worker dies, SQS delivers it again.
    FencedError: Ending(outcome=AttemptOutcome.FENCED, message=MessageAction.LEAVE),
    # The attempt replaces it by one of the three above, as soon as it knows who has claimed.
    FenceNoticedError: Ending(outcome=AttemptOutcome.FENCED, message=MessageAction.LEAVE),
    # Only a worker of the newer version can claim the response.
    UnreadableLogError: Ending(
        outcome=AttemptOutcome.RELEASED, message=MessageAction.POSTPONE, log_level=logging.WARNING
    ),
    # Another attempt follows, here or on another worker.
    StageFullError: Ending(
        outcome=AttemptOutcome.DELAYED, message=MessageAction.DELAY, faultless=True
    ),
    BusyError: Ending(
        outcome=AttemptOutcome.DELAYED,
        message=MessageAction.DELAY,
        faultless=True,
        log_level=logging.INFO,
    ),
    QuarantineBusyError: Ending(
        outcome=AttemptOutcome.SUSPECT, message=MessageAction.WAIT, faultless=True
    ),
    HandedOverError: Ending(
        outcome=AttemptOutcome.RELEASED, message=MessageAction.RELEASE, faultless=True
    ),
    UnloadedError: Ending(
        outcome=AttemptOutcome.RELEASED,
        message=MessageAction.RELEASE,
        faultless=True,
        log_level=logging.INFO,
    ),
    UnavailableError: Ending(
        outcome=AttemptOutcome.RELEASED,
        message=MessageAction.RELEASE,
        faultless=True,
        escalates=True,
        log_level=logging.WARNING,
    ),
    EngineDeadError: Ending(
        outcome=AttemptOutcome.RELEASED,
        message=MessageAction.RELEASE,
        escalates=True,
        log_level=logging.WARNING,
    ),
    Exception: UNEXPECTED,
}


def ending_of(error: Exception) -> Ending:
    """Return the row of an exception's nearest class."""
    return next(ENDINGS[each] for each in type(error).__mro__ if each in ENDINGS)


def escalated_ending_of(error: Exception) -> Ending:
    """Return what the consumer does about an exception that the runner has raised.

    An exception whose row does not escalate should have ended in the runner. It is a bug then,
    and its row must not be applied: the message would be deleted though the client has no answer.
    """
    ending = ending_of(error)
    return ending if ending.escalates else UNEXPECTED
