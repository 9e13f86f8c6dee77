"""Followers in virtual time: their looks into the log, their bounds, and random histories."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.event_log import follower as module
from axon.event_log.log import LoggedEvent, ResponseMeta, Status
from axon.event_log.merger import EventMerger
from axon.event_log.publication import Kind, Publication
from axon.exceptions import LostEventsError, UnavailableError
from axon.testing.event_log import FakeValkey
from tests.contract.axon.event_log.follower_harness import (
    RESTORE_S,
    TENANT,
    Author,
    FollowerHarness,
    Reader,
    fake,
)
from tests.support import virtual_time


def test_follower_looks_ever_more_rarely_while_nothing_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def follow() -> list[float]:
        looks: list[float] = []
        async with fake(look_s=1.0) as harness:
            author = await harness.open()
            describe = harness.log.describe

            async def noted(response_id: str, *, with_job: bool = True) -> ResponseMeta | None:
                assert not with_job  # a request's length, again and again
                looks.append(virtual_time.now())
                return await describe(response_id, with_job=with_job)

            monkeypatch.setattr(harness.log, "describe", noted)
            reader = harness.reader(author)
            await asyncio.sleep(30)
            await author.append()
            await reader.has_all()
            looks.append(-virtual_time.now())
            await asyncio.sleep(2)
            await reader.cancel()
        return looks

    looks = virtual_time.run(follow())
    assert [round(look, 1) for look in looks[:6]] == [0, 1, 3, 7, 15, 23]
    appended = looks.index(next(look for look in looks if look < 0))
    assert round(looks[appended + 1] + looks[appended], 1) == 1.0  # often again after news


def test_follower_fails_when_the_log_stays_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_arguments: object, **_options: object) -> list[LoggedEvent]:
        raise UnavailableError("away")

    async def follow() -> None:
        async with fake() as harness:
            author = await harness.open()
            monkeypatch.setattr(module, "UNAVAILABLE_S", 0)
            monkeypatch.setattr(harness.log, "read", away)
            with pytest.raises(UnavailableError):
                await harness.read(author)
            assert harness.subscribed() == 0

    virtual_time.run(follow())


def test_follower_waits_for_a_log_that_is_lost_twice() -> None:
    """Each loss has its own time, also when only reads of events show that the log was back."""

    async def follow() -> None:
        async with fake(look_s=0.1) as harness:
            author = await harness.open()
            reader = harness.reader(author)
            await reader.has_all()
            harness.channels.loses = lambda: True  # so that the events come from reads
            for _ in range(2):
                await harness.lose()
                await asyncio.sleep(0.7 * RESTORE_S)
                await harness.prepare()
                await author.restore()
                await author.append()
                await reader.has_all()
            await author.complete()
            await reader.ends()

    virtual_time.run(follow())


def test_follower_only_reads_the_log_after_a_publication_of_another_generation() -> None:
    async def follow() -> None:
        async with fake(look_s=60.0) as harness:
            assert isinstance(harness.log, FakeValkey)
            author = await harness.open()
            reader = harness.reader(author)
            await reader.has_all()
            other = Publication(author.response_id, "c1", 2, Kind.LAST_EVENTS, [b"other"])
            harness.log.channels.publish(other, generation="other")
            await asyncio.sleep(1)
            reader.check()
            harness.channels.loses = lambda: True
            await author.append()
            harness.channels.loses = lambda: False
            harness.log.channels.publish(other, generation="other")
            await asyncio.sleep(1)
            reader.check()
            await author.complete()
            await reader.ends()

    virtual_time.run(follow())


def test_follower_looks_often_at_a_log_that_was_lost_after_a_long_silence() -> None:
    async def follow() -> float:
        async with fake(look_s=1.0, restore_s=5.0) as harness:
            before = harness.snapshot()
            reader = harness.reader(await harness.open())
            await asyncio.sleep(40)  # it looks each 8 s now
            harness.rewind(before)
            await harness.disconnect()
            began = virtual_time.now()
            with pytest.raises(LostEventsError):
                await reader.ends()
            return virtual_time.now() - began

    assert virtual_time.run(follow()) == pytest.approx(5.0, abs=0.1)


def test_follower_keeps_a_bounded_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    mergers: list[EventMerger] = []

    class NotedMerger(EventMerger):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            mergers.append(self)

    monkeypatch.setattr(module, "EventMerger", NotedMerger)

    async def follow() -> None:
        async with fake(cache_bytes=1000, look_s=1.0) as harness:
            author = await harness.open()
            async with aclosing(
                harness.follower.follow(author.response_id, tenant_id=TENANT)
            ) as following:
                assert (await anext(following)).data == author.written[0]
                for _ in range(100):
                    await author.append(10)
                (merger,) = mergers
                assert merger._cached_bytes <= 1000
                got = [event.data for event in [await anext(following) for _ in range(1001)]]
                assert got == author.written[1:1002]

    virtual_time.run(follow())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 12)),
        st.tuples(st.just("lose"), st.booleans()),
        st.tuples(st.just("reconnect"), st.just(0)),
        st.tuples(st.just("leave"), st.integers(0, 2)),
        st.tuples(st.just("pause"), st.sampled_from([0.0, 0.001, 0.5, 3.0])),
    ),
    max_size=25,
)


@given(
    steps=STEPS,
    status=st.sampled_from([Status.COMPLETED, Status.FAILED]),
    lost=st.booleans(),
    late=st.integers(0, 25),
)
def test_followers_get_every_event_once_and_in_order(
    steps: list[tuple[str, float]], status: Status, lost: bool, late: int
) -> None:
    """Appends, losses, reconnects and followers that leave and come back, in any order.

    One follower has expected the response: event 0 is `lost` to it or not, and it begins to read
    after `late` steps.
    """
    virtual_time.run(_history(steps, status, lost=lost, late=late))


async def _history(
    steps: list[tuple[str, float]], status: Status, *, lost: bool, late: int
) -> None:
    async with fake(cache_bytes=300, look_s=1.0) as harness:
        with harness.follower.expect("resp_1") as expected:
            harness.channels.loses = lambda: lost
            author = await harness.open()
            harness.channels.loses = lambda: False
            readers = [harness.reader(author, after=n, pause_s=p) for n, p in READERS]
            await _take(steps[:late], harness, author, readers)
            readers.append(Reader(expected(), author))
            await _take(steps[late:], harness, author, readers)
            await author.append(3, status=status)
            for reader in readers:
                await reader.ends()
        assert harness.subscribed() == 0


async def _take(
    steps: list[tuple[str, float]], harness: FollowerHarness, author: Author, readers: list[Reader]
) -> None:
    for action, value in steps:
        if action == "append":
            await author.append(int(value))
        elif action == "lose":
            harness.channels.loses = lambda lost=bool(value): lost  # type: ignore[misc]
        elif action == "reconnect":
            await harness.disconnect()
        elif action == "leave":
            reader = readers[int(value)]
            await reader.cancel()
            first = reader.first + len(reader.events)
            assert reader.events == author.written[reader.first : first]
            readers[int(value)] = harness.reader(author, after=first - 1)
        else:
            await asyncio.sleep(value)


READERS = ((-1, 0.0), (0, 0.01), (1, 0.3))
