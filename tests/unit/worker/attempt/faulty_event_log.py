"""An event log between which and the worker everything can go wrong."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

import pytest

from axon.exceptions import UnavailableError
from tests.unit.worker.attempt.attempt_harness import Workplace

CALLS = ("claim", "append", "read", "describe", "restore")


class Fault(Enum):
    """What happens to one call."""

    NONE = "answered"
    UNSENT = "does not reach Valkey"
    UNANSWERED = "is executed, but its answer is lost"
    LOST = "comes after Valkey has lost its data"
    LOST_UNANSWERED = "is executed, then Valkey loses its data, and the answer is lost"


@contextmanager
def going_wrong(world: Workplace, faults: Iterable[Fault]) -> Iterator[list[Fault]]:
    """Have a fault happen to each call of the log while there are any; gives those that did."""
    planned = iter(faults)
    happened: list[Fault] = []

    def wrap(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def faulty(*args: Any, **kwargs: Any) -> Any:
            fault = next(planned, Fault.NONE)
            happened.append(fault)
            if fault is Fault.UNSENT:
                raise UnavailableError("not sent")
            if fault is Fault.LOST:
                world.valkey.lose()
            answer = await call(*args, **kwargs)
            if fault is Fault.LOST_UNANSWERED:
                world.valkey.lose()
            if fault in (Fault.UNANSWERED, Fault.LOST_UNANSWERED):
                raise UnavailableError("not answered")
            return answer

        return faulty

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(world.valkey, name, wrap(getattr(world.valkey, name)))
        yield happened
