"""One invocation of a function and how it ended."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field

RESPONSE_LIMIT_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the caller gets: the function's JSON, or the error's when `failed`."""

    payload: bytes
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Invocation:
    """A payload on its way; its caller waits on `outcome` and cancels it to give up."""

    payload: bytes
    outcome: asyncio.Future[Outcome]
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def succeed(self, payload: bytes) -> None:
        """End with the function's result."""
        self._end(Outcome(payload))

    def fail(self, payload: bytes) -> None:
        """End with an error that the runtime reported."""
        self._end(Outcome(payload, failed=True))

    def fail_with(self, error_type: str, message: str) -> None:
        """End with an error of Lambda's own, in its words."""
        text = f"RequestId: {self.request_id} Error: {message}"
        self.fail(json.dumps({"errorType": error_type, "errorMessage": text}).encode())

    def _end(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


def deadline_ms(timeout_s: float) -> int:
    """Return the epoch milliseconds `timeout_s` from now."""
    return int((time.time() + timeout_s) * 1000)
