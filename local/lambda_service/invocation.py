"""An invocation of a function, and its outcome."""

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field

RESPONSE_LIMIT_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result for the caller: the JSON that the function returned, or of its error if `failed`."""

    payload: bytes
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Invocation:
    """A payload for a function; its caller waits for `outcome`, and cancels it to give up."""

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
        """End with an error of the service itself, worded as Lambda's."""
        text = f"RequestId: {self.request_id} Error: {message}"
        self.fail(json.dumps({"errorType": error_type, "errorMessage": text}).encode())

    def _end(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


def deadline_ms(timeout_s: float) -> int:
    """Return the time `timeout_s` from now, in milliseconds since 1970."""
    return int((time.time() + timeout_s) * 1000)
