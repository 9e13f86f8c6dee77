"""Stream ids of events: each answer has that of the request that asked for it.

A worker writes the stream id of the first request into each event. A request that repeats it, or
resumes the response, may come with another one, or over HTTP without any.
"""

from axon.serialization import dumps, loads

_NAME = b'"stream_id":'
"""The name as JSON writes it; inside a text, its quotes have backslashes before them."""


def relabelled(event: bytes, stream_id: str | None) -> bytes:
    """Return an event with a stream id in place of its own.

    Parameters
    ----------
    event : bytes
        One JSON object, as a worker wrote it: its stream id comes last, if it has one.
    stream_id : str | None
        The stream id of the request; None for none.

    Returns
    -------
    bytes
        The same object if nothing had to be changed, as for nearly all responses.
    """
    if stream_id is None:
        if _NAME not in event:
            return event
    elif event.endswith(b",%b%b}" % (_NAME, dumps(stream_id))):
        return event
    fields = loads(event)
    if fields.get("stream_id") == stream_id:
        return event
    fields.pop("stream_id", None)
    return dumps(fields if stream_id is None else fields | {"stream_id": stream_id})
