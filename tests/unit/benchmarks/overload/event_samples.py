"""Events of responses, as the overload benchmark receives them."""

from typing import Any


def events(
    stream_id: str, *deltas: str, last: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """A response's events; the last one completed unless it is given."""
    listed: list[dict[str, Any]] = [{"type": "response.created"}]
    listed += [{"type": "response.output_text.delta", "delta": delta} for delta in deltas]
    done = {"type": "response.completed", "response": {"status": "completed", "error": None}}
    listed.append(last or done)
    return [
        {**event, "stream_id": stream_id, "sequence_number": number}
        for number, event in enumerate(listed)
    ]


def failed(code: str, message: str, **more: str) -> dict[str, Any]:
    error = {"code": code, "message": message, **more}
    return {"type": "response.failed", "response": {"status": "failed", "error": error}}
