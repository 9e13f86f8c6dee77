"""Several choices of one completion (`n`): each is a response of its own."""

from collections.abc import Callable, Sequence
from hashlib import sha256

from axon.protocol.chat.chunks import ChunkStream
from axon.protocol.objects import TERMINAL_EVENTS, Json
from axon.protocol.view_requests import ViewRequest


class ChoiceStreams:
    """Makes one stream of chunks from the events of all responses of a completion.

    Its id and all else that chunks have in common is that of the first response, whose first event
    must come first. The usage is shown once, when the last one of them ends.

    Parameters
    ----------
    streams : Sequence[ChunkStream]
        The streams of the choices, in their order.
    """

    def __init__(self, streams: Sequence[ChunkStream]) -> None:
        self._streams = streams
        self._ended: dict[int, Json] = {}

    def feed(self, index: int, event: Json) -> list[bytes]:
        """Return the chunks of the next event of the response at a place among the choices.

        Raises
        ------
        FailedResponseError
            The response has ended without an answer to show, so the completion has none.
        """
        match event["type"]:
            case "response.created" if index == 0:
                return [chunk for stream in self._streams for chunk in stream.feed(event)]
            case "response.created":
                return []
            case kind if kind in TERMINAL_EVENTS:
                return self._end(index, event)
        return self._streams[index].feed(event)

    def _end(self, index: int, event: Json) -> list[bytes]:
        self._ended[index] = event["response"]
        last = len(self._ended) == len(self._streams)
        if last:
            responses = [self._ended[place] for place in range(len(self._streams))]
            event = event | {"response": event["response"] | {"usage": _usage(responses)}}
        return self._streams[index].feed(event, last=last)


def requests_of(request: ViewRequest, count: int) -> list[ViewRequest]:
    """Return the requests of the choices.

    Each one has another seed, and another idempotency key, if the request has them. The first one
    alone is stored: the completion has its id.
    """
    if count == 1:
        return [request]
    first = request.model_copy(update={"n": count})
    return [first, *(_other(first, index) for index in range(1, count))]


def completion_of_all(responses: Sequence[Json], completion_of: Callable[[Json], Json]) -> Json:
    """Return the completion that shows responses as its choices.

    Parameters
    ----------
    responses : Sequence[Json]
        The responses, completed or incomplete.
    completion_of : Callable[[Json], Json]
        Returns the completion of one.
    """
    whole = completion_of(responses[0] | {"usage": _usage(responses)})
    choices = [completion_of(response)["choices"][0] for response in responses]
    numbered = [choice | {"index": index} for index, choice in enumerate(choices)]
    return whole | {"choices": numbered}


def _other(request: ViewRequest, index: int) -> ViewRequest:
    changed: Json = {"store": False}
    if (seed := request.seed) is not None:  # towards zero: a seed has its bounds
        changed["seed"] = seed - index if seed > 0 else seed + index
    if key := request.idempotency_key:
        changed["idempotency_key"] = sha256(f"choice {index} of {key}".encode()).hexdigest()
    return request.model_copy(update=changed)


def _usage(responses: Sequence[Json]) -> Json | None:
    """Return the usage of all responses, which have read the same prompt: it counts once."""
    usages = [response["usage"] for response in responses]
    if None in usages:
        return None
    first: Json = usages[0]
    written = sum(usage["output_tokens"] for usage in usages)
    thought = sum(usage["output_tokens_details"]["reasoning_tokens"] for usage in usages)
    return first | {
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": first["input_tokens"] + written,
    }
