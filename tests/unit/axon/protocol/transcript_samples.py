"""Steps that make answers of any items through a `Transcript`, as an attempt makes them."""

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from axon.event_log.log import LoggedEvent, Status
from axon.jobs import Job
from axon.protocol.output_items.custom_tool_call import CustomToolCallItem
from axon.protocol.output_items.function_call import FunctionCallItem
from axon.protocol.output_items.message import MessageItem
from axon.protocol.output_items.reasoning import ReasoningItem
from axon.protocol.transcript import Transcript

Step = Callable[[Transcript], list[LoggedEvent]]


def message(*texts: str, complete: bool = True) -> list[Step]:
    def item(transcript: Transcript) -> MessageItem:
        found = transcript.open_item or transcript.begin_message()
        assert isinstance(found, MessageItem)
        return found

    def add(text: str) -> Step:
        return lambda transcript: transcript.log(item(transcript).add_text(text), [len(text)])

    return [lambda t: t.log(item(t).open()), *map(add, texts), close(complete=complete)]


def reasoning(*texts: str, complete: bool = True) -> list[Step]:
    """Text where a piece begins with a lower-case letter, summary else; "." ends a summary part."""

    def item(transcript: Transcript) -> ReasoningItem:
        found = transcript.open_item or transcript.begin_reasoning()
        assert isinstance(found, ReasoningItem)
        return found

    def add(text: str) -> Step:
        if text == ".":
            return lambda transcript: transcript.log(item(transcript).end_summary_part())
        if text[:1].islower():
            return lambda transcript: transcript.log(item(transcript).add_text(text), [7])
        return lambda transcript: transcript.log(item(transcript).add_summary(text), [8])

    return [lambda t: t.log(item(t).open()), *map(add, texts), close(complete=complete)]


def function_call(*texts: str, complete: bool = True) -> list[Step]:
    def item(transcript: Transcript) -> FunctionCallItem:
        found = transcript.open_item or transcript.begin_function_call("look_up")
        assert isinstance(found, FunctionCallItem)
        return found

    def add(text: str) -> Step:
        return lambda transcript: transcript.log(item(transcript).add_arguments(text), [9])

    return [lambda t: t.log(item(t).open()), *map(add, texts), close(complete=complete)]


def custom_call(*texts: str, complete: bool = True) -> list[Step]:
    def item(transcript: Transcript) -> FunctionCallItem:
        found = transcript.open_item or transcript.begin_function_call(
            "patch", namespace="files", custom=True
        )
        assert isinstance(found, CustomToolCallItem)
        return found

    def add(text: str) -> Step:
        return lambda transcript: transcript.log(item(transcript).add_arguments(text), [9])

    return [lambda t: t.log(item(t).open()), *map(add, texts), close(complete=complete)]


def close(*, complete: bool) -> Step:
    def step(transcript: Transcript) -> list[LoggedEvent]:
        item = transcript.open_item
        assert item is not None
        return transcript.log(item.close(complete=complete))

    return step


def begin(transcript: Transcript) -> list[LoggedEvent]:
    return [transcript.created()]


def claim(transcript: Transcript) -> list[LoggedEvent]:
    return [transcript.in_progress()]


def end(transcript: Transcript) -> list[LoggedEvent]:
    return [transcript.end(Status.INCOMPLETE, reason="max_output_tokens")]


def whole(*items: Sequence[Step], end: Step = end) -> list[Step]:
    """Return the steps of an answer of these items, from its creation to its end."""
    return [begin, claim, *(step for item in items for step in item), end]


def run(job: Job, steps: Sequence[Step]) -> list[list[LoggedEvent]]:
    transcript = job.transcript()
    return [step(transcript) for step in steps]


def flat(batches: Sequence[Sequence[LoggedEvent]]) -> list[LoggedEvent]:
    return [event for batch in batches for event in batch]


PIECES = st.lists(st.text(max_size=4), max_size=4).map(tuple)
ITEM = st.builds(
    lambda make, pieces, complete: make(*pieces, complete=complete),
    st.sampled_from([message, reasoning, function_call, custom_call]),
    PIECES | st.lists(st.sampled_from(["a", "b ", "S", "T ", ".", ""]), max_size=6).map(tuple),
    st.booleans(),
)
