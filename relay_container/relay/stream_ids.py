"""Stream ids of events: those of the request that asked for them last.

A worker writes the stream id of the first request into each event. A request that repeats it, or
resumes the response, may come with another one, or over HTTP without any.
"""

from axon.event_log.lanes import LanePosition
from axon.serialization import dumps, loads

_NAME = b'"stream_id":'
"""The name as JSON writes it; inside a text, its quotes have backslashes before them."""


def with_stream_id_of(event: bytes, position: LanePosition) -> bytes:
    """Return an event with the stream id of a lane.

    Parameters
    ----------
    event : bytes
        One JSON object, as a worker wrote it: its stream id comes last, if it has one.
    position : LanePosition
        The place of its response. Without a lane, the event stays as it is.

    Returns
    -------
    bytes
        The same object if nothing had to be changed, as for nearly all responses.
    """
    if not position.lane:
        return event
    stream_id = position.stream_id
    if stream_id is None:
        if _NAME not in event:
            return event
        return _rewritten(event, stream_id)
    if event.endswith(b",%b%b}" % (_NAME, dumps(stream_id))):
        return event
    return _rewritten(event, stream_id)


def _rewritten(event: bytes, stream_id: str | None) -> bytes:
    fields = loads(event)
    if fields.get("stream_id") == stream_id:
        return event
    fields.pop("stream_id", None)
    return dumps(fields if stream_id is None else fields | {"stream_id": stream_id})
