"""Records of every response of the flood: accepted, correct, ended once."""

from dataclasses import dataclass, field
from typing import Any

from benchmarks.model import counted_text
from benchmarks.overload.model import COMPLETED, LOST, FloodResult

_KEPT_WRONG = 20
_LAST = ("response.completed", "response.incomplete", "response.failed")


@dataclass(slots=True)
class _Response:
    next_number: int = 0
    outcome: str = ""
    text: list[str] = field(default_factory=list)


class ResponseRecords:
    """All responses of one flood; moments are seconds since the first request."""

    def __init__(self, *, tokens: int) -> None:
        self._expected = counted_text(tokens)
        self._responses: dict[str, _Response] = {}
        self._accepted_at: list[float] = []
        self._completed_at: list[float] = []
        self._failed_at: list[float] = []
        self._wrong: list[str] = []

    @property
    def open(self) -> int:
        """Return the number of responses that have not ended."""
        return len(self._responses) - len(self._completed_at) - len(self._failed_at)

    def ask(self, stream_id: str) -> None:
        """Add a request."""
        self._responses[stream_id] = _Response()

    def add_wrong(self, text: str) -> None:
        """Record what no client should see."""
        if len(self._wrong) < _KEPT_WRONG:
            self._wrong.append(text[:300])

    def note(self, event: dict[str, Any], now: float) -> bool:
        """Record an event; return whether it is the first of its request."""
        response = self._responses.get(str(event.get("stream_id")))
        if response is None or response.outcome:
            self.add_wrong(f"for nobody, or after the end: {event}")
            return False
        if event["type"] == "error":
            return self._refused(response, event, now)
        first = response.next_number == 0
        if event["sequence_number"] != response.next_number:
            self.add_wrong(f"number {response.next_number} was due: {event}")
        response.next_number += 1
        if first:
            self._accepted_at.append(now)
        if event["type"] == "response.output_text.delta":
            response.text.append(event["delta"])
        elif event["type"] in _LAST:
            self._end(response, event, now)
        return first

    def seen(self) -> FloodResult:
        """Return the result; responses that have not ended are lost."""
        outcomes: dict[str, int] = {}
        for response in self._responses.values():
            outcome = response.outcome or LOST
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        return FloodResult(
            outcomes=outcomes,
            accepted_at=self._accepted_at,
            completed_at=self._completed_at,
            failed_at=self._failed_at,
            wrong=self._wrong,
        )

    def _refused(self, response: _Response, event: dict[str, Any], now: float) -> bool:
        response.outcome = f"refused: {event['error']['message']}"
        self._failed_at.append(now)
        return response.next_number == 0

    def _end(self, response: _Response, event: dict[str, Any], now: float) -> None:
        status, error = event["response"]["status"], event["response"]["error"]
        if status == COMPLETED:
            response.outcome = COMPLETED
            self._completed_at.append(now)
            if "".join(response.text) != self._expected:
                self.add_wrong(f"a wrong text: {''.join(response.text)!r}")
        else:
            kind = error.get("type") or error["code"] if error else "no error"
            message = error["message"] if error else ""
            response.outcome = f"{status}, {kind}: {message}"
            self._failed_at.append(now)
        response.text.clear()
