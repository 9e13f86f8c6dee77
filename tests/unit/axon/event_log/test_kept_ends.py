"""Ends of responses that a failover has lost are appended again, while their process has them."""

import asyncio

from axon.event_log.kept_ends import KEPT_S, MOST, KeptEnds
from axon.event_log.log import Status
from axon.exceptions import FencedError, UnavailableError
from tests.support.virtual_time import run
from tests.unit.worker.test_event_writer import EventWriterHarness


class EndsHarness:
    """Kept ends, with a log whose generation and time the test sets."""

    def __init__(self) -> None:
        self.generation = "first"
        self.away = False
        self.now = 0.0
        self.repeated: list[str] = []
        self.ends = KeptEnds(confirm=self._confirm, clock=lambda: self.now)

    async def _confirm(self) -> str:
        if self.away:
            raise UnavailableError("away")
        return self.generation

    def keep(self, name: str = "resp_1", error: Exception | None = None) -> None:
        async def repeat() -> None:
            self.repeated.append(name)
            if error:
                raise error

        self.ends.keep(name, repeat, generation="first")


async def test_kept_ends_are_repeated_once_after_a_change_of_the_generation() -> None:
    harness = EndsHarness()
    harness.keep()
    await harness.ends.look()
    assert harness.repeated == []
    harness.generation = "second"
    for _ in range(2):
        await harness.ends.look()
    assert harness.repeated == ["resp_1"]


async def test_kept_ends_are_dropped_after_a_time_in_which_valkey_was_there() -> None:
    harness = EndsHarness()
    harness.keep()
    harness.now, harness.away = KEPT_S + 1, True
    await harness.ends.look()
    # It comes back as a server that lacks the end, however long it was away.
    harness.away, harness.generation = False, "second"
    await harness.ends.look()
    assert harness.repeated == ["resp_1"]
    harness.now += KEPT_S + 1
    await harness.ends.look()
    harness.generation = "third"
    await harness.ends.look()
    assert harness.repeated == ["resp_1"]


async def test_kept_ends_are_tried_again_while_valkey_is_away_and_not_when_fenced() -> None:
    harness = EndsHarness()
    harness.keep("resp_1", UnavailableError("away"))
    harness.keep("resp_2", FencedError("ended"))
    harness.generation = "second"
    for _ in range(2):
        await harness.ends.look()
    assert harness.repeated == ["resp_1", "resp_2", "resp_1"]


async def test_kept_ends_hold_the_newest_only() -> None:
    harness = EndsHarness()
    for number in range(MOST + 1):
        harness.keep(f"resp_{number}")
    harness.generation = "second"
    await harness.ends.look()
    assert (len(harness.repeated), "resp_0" in harness.repeated) == (MOST, False)


async def test_kept_ends_ignore_one_that_is_evicted_before_its_repetition() -> None:
    harness = EndsHarness()

    async def crowd_out() -> None:
        for number in range(MOST):
            harness.keep(f"newer_{number}")

    harness.ends.keep("resp_1", crowd_out, generation="first")
    harness.keep("resp_2")
    harness.generation = "second"
    await harness.ends.look()
    assert "resp_2" not in harness.repeated


def test_kept_ends_outlive_an_unexpected_error() -> None:
    async def story() -> None:
        harness = EndsHarness()
        harness.keep("resp_1", KeyError("a bug"))
        harness.keep("resp_2")
        running = asyncio.create_task(harness.ends.run())
        harness.generation = "second"
        await asyncio.sleep(5)
        assert harness.repeated == ["resp_1", "resp_2"]
        harness.keep("resp_3")
        await asyncio.sleep(5)
        assert harness.repeated == ["resp_1", "resp_2", "resp_3"]
        running.cancel()

    run(story())


async def test_kept_end_is_appended_again_with_the_events_that_were_lost_with_it() -> None:
    harness = EventWriterHarness()
    await harness.open()
    before = harness.log.snapshot()
    writer = harness.writer()
    transcript = await writer.claim(untouched=True)
    await writer.append(transcript.delta("one", [1]))
    await writer.append([transcript.end(Status.COMPLETED)], status=Status.COMPLETED)
    whole = await harness.log.read(harness.job.response_id)
    await harness.rewind(before)
    # The client has all but the end: the end alone would fit, and leave a hole in the log.
    await harness.confirm(len(whole) - 1)
    await writer.repeat_end(Status.COMPLETED)
    await writer.repeat_end(Status.COMPLETED)  # what the log has stays as it is
    assert await harness.log.read(harness.job.response_id) == whole
    meta = await harness.log.describe(harness.job.response_id)
    assert meta is not None
    assert meta.status is Status.COMPLETED
