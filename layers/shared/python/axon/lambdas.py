"""The event loop of a Lambda function: one for the whole process, on which handlers run."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

Event = dict[str, Any]

_LOOP = asyncio.new_event_loop()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end.

    The loop is not closed, so that clients opened on the way serve the next invocation, too.
    """
    return _LOOP.run_until_complete(coroutine)


def trace_header() -> str | None:
    """Return AWS's trace header of the current invocation, for what it sends on."""
    return os.environ.get("_X_AMZN_TRACE_ID")
