"""The checker, on histories that were made and changed at random."""

import json
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.answers import Fault
from tests.chaos.check import check
from tests.chaos.history import Op, Record
from tests.chaos.history_samples import HistorySample, faults, frames_of, whole

Change = Callable[[list[Record], int], list[Record]]


def _drop(records: list[Record], index: int) -> list[Record]:
    return [*records[:index], *records[index + 1 :]]


def _repeat(records: list[Record], index: int) -> list[Record]:
    return [*records[: index + 1], *records[index:]]


def _alter(records: list[Record], index: int) -> list[Record]:
    event = json.loads(records[index].data["data"])
    changed = replace(records[index], data={"data": json.dumps({**event, "more": 1})})
    return [*records[:index], changed, *records[index + 1 :]]


def _swap(records: list[Record], index: int) -> list[Record]:
    """Exchange an event with the one before it of the same answer."""
    order = list(frames_of(records, records[index].answer))
    other = order[order.index(index) - 1]
    swapped = list(records)
    swapped[index], swapped[other] = swapped[other], swapped[index]
    return swapped


def _silence(records: list[Record], index: int) -> list[Record]:
    """Leave out an event and all later ones of its answer."""
    gone = {place for place in frames_of(records, records[index].answer) if place >= index}
    return [record for place, record in enumerate(records) if place not in gone]


CHANGES: tuple[tuple[Change, set[Fault]], ...] = (
    (_drop, {Fault.LOST, Fault.SILENT, Fault.REPEATED}),
    (_repeat, {Fault.REPEATED, Fault.ENDED_TWICE}),
    (_alter, {Fault.WRONG}),
    (_swap, {Fault.LOST, Fault.REPEATED}),
    (_silence, {Fault.SILENT}),
)

words = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=6)


@st.composite
def histories(draw: st.DrawFn, *, rereads: bool = False) -> list[Record]:
    """Draw a history that keeps every promise."""
    sample = HistorySample(losses=draw(st.sampled_from(("", "some"))))
    for name in draw(st.sampled_from((["a"], ["a", "b"], ["a", "b", "c"]))):
        deltas = [" " + word for word in draw(words)]
        events = len(deltas) + 3
        sample.answer(
            name,
            deltas,
            resumed=draw(st.integers(0, events - 1)),
            rereads=draw(st.integers(-1, events - 2)) if rereads and draw(st.booleans()) else None,
        )
    return sample.end()


@given(records=histories(rereads=True))
def test_check_finds_nothing_in_any_history_that_keeps_every_promise(
    records: list[Record],
) -> None:
    parsed = [Record.parse(record.line()) for record in records]
    assert parsed == records
    assert check(parsed).broken == ()


@given(data=st.data(), records=histories(), change=st.sampled_from(CHANGES))
def test_check_finds_each_change(
    data: st.DataObject, records: list[Record], change: tuple[Change, set[Fault]]
) -> None:
    make, expected = change
    answer = data.draw(st.sampled_from(sorted({record.answer for record in records} - {""})))
    index = data.draw(st.sampled_from(list(frames_of(records, answer))))
    if make is _swap and index == next(frames_of(records, answer)):
        index = list(frames_of(records, answer))[1]
    broken = check(make(records, index)).broken
    assert {one.fault for one in broken if one.answer == answer} & expected
    assert {one.answer for one in broken} <= {answer, ""}


@given(data=st.data(), records=histories(rereads=True))
def test_check_finds_an_event_that_is_another_one_when_it_is_read_again(
    data: st.DataObject, records: list[Record]
) -> None:
    again = [
        index + 1
        for index, record in enumerate(records)
        if record.op is Op.REREAD and record.data["after"] >= -1
    ]
    if again:
        index = data.draw(st.sampled_from(again))
        assert faults(_alter(records, index)) == {Fault.WRONG}


def test_check_takes_events_that_were_made_again_with_their_names_in_another_order() -> None:
    """A client may have read them from the database before the log was repaired (ADR 28)."""

    def reordered(record: Record, *, more: bool) -> Record:
        if record.op is not Op.LOG:
            return record
        events = [json.loads(event) for event in record.data["events"]]
        turned = [dict(reversed(event.items())) | ({"more": 1} if more else {}) for event in events]
        changed = {**record.data, "events": [json.dumps(event) for event in turned]}
        return replace(record, data=changed)

    records = whole().end()
    assert faults([reordered(record, more=False) for record in records]) == set()
    assert faults([reordered(record, more=True) for record in records]) == {Fault.WRONG}
