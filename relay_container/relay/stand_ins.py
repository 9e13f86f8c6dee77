"""Stand-ins for events that no WebSocket message carries: only workers before ADR 21 wrote any."""

from axon.exceptions import RequestError
from axon.protocol.errors import error_event
from axon.protocol.objects import TERMINAL_EVENTS, Json, without_instructions
from axon.protocol.sizes import MESSAGE_BYTES
from axon.serialization import dumps, loads


def stand_in(event: bytes) -> bytes | None:
    """Return what the client gets instead of an event that is too large.

    An event with the response goes without instructions, if that is enough. In place of the
    terminal event, which repeats all text, an error says how the response has ended. None if the
    event is left out: the terminal event is even larger then, and its error covers both.
    """
    fields = loads(event)
    if "response" not in fields:
        return None
    shorter = dumps(without_instructions(fields))
    if len(shorter) <= MESSAGE_BYTES:
        return shorter
    return _end(fields, size=len(event)) if fields["type"] in TERMINAL_EVENTS else None


def _end(event: Json, *, size: int) -> bytes:
    response = event["response"]
    response_id, status = response["id"], response["status"]
    where = "" if response.get("store") else ", on the connection that asked for it"
    remedy = (
        "Send the request again."
        if event["type"] == "response.failed"
        else f"Continue it with previous_response_id '{response_id}'{where}: all of it is kept."
    )
    refusal = RequestError(
        f"Response '{response_id}' has ended as {status}, but its last event has {size:,} bytes, "
        f"more than the {MESSAGE_BYTES:,} of a WebSocket message, so that neither this connection "
        f"nor response.resume can deliver it. {remedy}",
        code="event_too_large",
        status=413,
    )
    error = error_event(refusal, stream_id=event.get("stream_id"))
    return dumps(error | {"response_id": response_id})
