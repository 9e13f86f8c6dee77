"""An event log between which and the worker everything can go wrong."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

import pytest

from axon.exceptions import UnavailableError
from tests.unit.worker.attempt.attempt_harness import AttemptHarness

CALLS = ("claim", "append", "read", "describe", "restore")


class Fault(Enum):
    """The fate of one call."""

    NONE = "answered"
    UNSENT = "does not reach Valkey"
    UNANSWERED = "is executed, but its answer is lost"
    LOST = "comes after Valkey has lost its data"
    LOST_UNANSWERED = "is executed, then Valkey loses its data, and the answer is lost"


@contextmanager
def going_wrong(harness: AttemptHarness, faults: Iterable[Fault]) -> Iterator[list[Fault]]:
    """Apply one fault to each call of the log while any are left; yield those that happened."""
    planned = iter(faults)
    happened: list[Fault] = []

    def wrap(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def faulty(*args: Any, **kwargs: Any) -> Any:
            fault = next(planned, Fault.NONE)
            happened.append(fault)
            if fault is Fault.UNSENT:
                raise UnavailableError("not sent")
            if fault is Fault.LOST:
                harness.valkey.lose()
            answer = await call(*args, **kwargs)
            if fault is Fault.LOST_UNANSWERED:
                harness.valkey.lose()
            if fault in (Fault.UNANSWERED, Fault.LOST_UNANSWERED):
                raise UnavailableError("not answered")
            return answer

        return faulty

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(harness.valkey, name, wrap(getattr(harness.valkey, name)))
        yield happened
