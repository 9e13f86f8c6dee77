"""Calls of an engine that must not hang, although the engine may."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from worker.engines.protocol import EngineError

_CANCEL_TIMEOUT_S = 5.0
"""Seconds that a call may take to end when its caller is cancelled."""

_UNFINISHED: set[asyncio.Task[None]] = set()
"""Calls that did not return: kept, because the event loop has weak references only."""


class EngineHangsError(EngineError):
    """The engine did not return from a call within its limit."""


async def bounded(call: Coroutine[Any, Any, None], *, within_s: float, what: str) -> None:
    """Await a call of an engine, but not for ever.

    A task of its own, because a call that hangs may not react to its cancellation either, and
    `asyncio.timeout` would wait for that.

    Raises
    ------
    EngineHangsError
        The call has not returned in time; it is cancelled, and may never end.
    Exception
        The call's own error.
    """
    task = asyncio.create_task(call)
    try:
        done, _ = await asyncio.wait([task], timeout=within_s)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_TIMEOUT_S)
        raise
    if done:
        task.result()
        return
    task.cancel()
    _UNFINISHED.add(task)
    task.add_done_callback(_UNFINISHED.discard)
    raise EngineHangsError(f"the engine did not {what} within {within_s:g} s")
