"""What every Lambda handler needs: one event loop a process, and coroutines run on it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

Event = dict[str, Any]

_LOOP = asyncio.new_event_loop()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; clients opened on the way live on for the next invocation."""
    return _LOOP.run_until_complete(coroutine)
