"""A relay's deliveries over fakes: publications in, posts out, and how deliveries end."""

import asyncio
import random

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import Status
from axon.event_log.publication import Publication
from axon.exceptions import UnavailableError
from axon.management_api import ConnectionGoneError, PostThrottledError, PostUncertainError
from axon.serialization import loads
from relay import registry, writers
from relay.dispatcher import Dispatcher
from tests.support.eventually import eventually
from tests.unit.relay.log_author_stub import Author
from tests.unit.relay.relay_harness import RELAY, RelayHarness


def told(harness: RelayHarness, connection_id: str) -> list[str]:
    """Return the codes of the errors that the client got, if it got nothing else."""
    posts = map(loads, harness.connections.posts[connection_id])
    return [post["code"] if post["type"] == "error" else post["type"] for post in posts]


async def status(harness: RelayHarness, author: Author) -> Status:
    meta = await harness.valkey.describe(author.response_id)
    assert meta is not None
    return meta.status


async def test_dispatcher_ignores_publications_before_it_accepts(harness: RelayHarness) -> None:
    dispatcher = Dispatcher(
        connections=harness.connections,
        log=harness.valkey,
        completion=harness.completion,
        observe_lag=harness.lags.append,
    )
    await harness.open("c1")
    for publication in harness.publications():
        dispatcher.receive(publication)
    assert not dispatcher.deliveries
    assert dispatcher.connections == 0


async def test_dispatcher_delivers_to_the_end_and_completes(harness: RelayHarness) -> None:
    author = await harness.open("c1")
    harness.pump()
    assert harness.dispatcher.deliveries.keys() == {author.response_id}
    await author.say("Hello", " harness")
    harness.pump()
    await author.complete()
    harness.pump()
    await harness.dispatcher.drain()
    await harness.received(author)
    assert not harness.dispatcher.deliveries
    assert harness.dispatcher.has_ended(author.response_id, "c1")
    assert await harness.valkey.undelivered(RELAY) == set()
    assert len(harness.lags) == len(author.written)


async def test_dispatcher_counts_each_connection_once(harness: RelayHarness) -> None:
    authors = [await harness.open(connection_id) for connection_id in ("c1", "c1", "c2")]
    harness.pump()
    assert (harness.dispatcher.connections, len(harness.dispatcher.deliveries)) == (2, 3)
    for author in authors:
        await author.complete()
    harness.pump()
    await harness.dispatcher.drain()
    assert (harness.dispatcher.connections, len(harness.dispatcher.deliveries)) == (0, 0)


async def test_dispatcher_does_not_let_connections_wait_for_each_other(
    harness: RelayHarness,
) -> None:
    slow, fast = await harness.open("c1"), await harness.open("c2")
    harness.connections.fail("c1", *[PostThrottledError("429")] * 4)
    await slow.complete()
    await fast.complete()
    harness.pump()
    await harness.received(fast)
    assert not harness.connections.posts["c1"]
    await harness.received(slow)


async def test_dispatcher_starts_a_writer_again_for_a_later_response(harness: RelayHarness) -> None:
    for _ in range(3):
        author = await harness.open("c1")
        await author.complete()
        harness.pump()
        await harness.dispatcher.drain()
        posts = harness.connections.posts["c1"]
        assert posts == author.written
        posts.clear()


async def test_dispatcher_starts_nothing_again_for_late_publications(harness: RelayHarness) -> None:
    author = await harness.open("c1")
    await author.complete()
    publications = harness.publications()
    for publication in (*publications, *publications):
        harness.dispatcher.receive(publication)
    await harness.dispatcher.drain()
    for publication in publications:
        harness.dispatcher.receive(publication)
    assert not harness.dispatcher.deliveries
    await harness.received(author)


async def test_dispatcher_remembers_a_bounded_number_of_ended_responses(
    harness: RelayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "REMEMBERED", 2)
    harness.dispatcher.close("c1", ["resp_1", "resp_2", "resp_3"])
    names = ("resp_1", "resp_2", "resp_3")
    assert sum(harness.dispatcher.has_ended(name, "c1") for name in names) == 2


async def test_dispatcher_reads_the_log_when_the_first_publication_is_lost(
    harness: RelayHarness,
) -> None:
    author = await harness.open("c1")
    harness.lose()
    await author.say("a")
    harness.pump()
    await harness.received(author)


async def test_dispatcher_finds_a_response_without_publications(harness: RelayHarness) -> None:
    author = await harness.open("c1")
    await author.complete()
    harness.lose()
    await harness.dispatcher.find(author.response_id)
    await harness.dispatcher.drain()
    await harness.received(author)
    await harness.dispatcher.find(author.response_id)
    await harness.dispatcher.drain()
    await harness.received(author)


async def test_dispatcher_reads_what_was_lost_last_on_request(harness: RelayHarness) -> None:
    author = await harness.open("c1")
    harness.pump()
    await harness.received(author)
    await author.say("a", "b")
    harness.lose()
    harness.dispatcher.request_read_all()
    await harness.received(author)


async def test_dispatcher_abandons_the_responses_of_a_gone_client(harness: RelayHarness) -> None:
    authors = [await harness.open("c1"), await harness.open("c1")]
    other = await harness.open("c2")
    harness.connections.hang_up("c1")
    harness.pump()
    await eventually(
        lambda: not harness.connections.posts["c1"] and len(harness.dispatcher.deliveries) == 1
    )
    for author in authors:
        while author.response_id in await harness.valkey.undelivered(RELAY):
            await asyncio.sleep(0)
        await author.say("still there?")
    harness.now += 61
    await harness.relay.lease.beat()
    await harness.sweeper.end_abandoned()
    for author in authors:
        assert await status(harness, author) is Status.CANCELLED
    assert await status(harness, other) is Status.QUEUED
    harness.pump()  # the events and cancellations were published, too
    assert harness.dispatcher.deliveries.keys() == {other.response_id}
    await eventually(lambda: len(harness.connections.posts["c2"]) == 1)
    assert harness.connections.deleted == []
    assert await harness.valkey.undelivered(RELAY) == {other.response_id}


async def test_dispatcher_closes_the_connection_after_a_post_in_doubt(
    harness: RelayHarness,
) -> None:
    author = await harness.open("c1")
    harness.connections.fail("c1", PostUncertainError("timeout"))
    harness.pump()
    await harness.dispatcher.drain()
    assert harness.connections.deleted == ["c1"]
    assert told(harness, "c1") == ["stream_interrupted"]
    assert await harness.valkey.undelivered(RELAY) == set()
    await author.say("more")
    harness.pump()
    assert not harness.dispatcher.deliveries
    harness.now += 61
    assert await harness.valkey.abandoned() == [author.response_id]


async def test_dispatcher_stops_a_post_under_way_when_it_closes(harness: RelayHarness) -> None:
    author = await harness.open("c1")
    await author.say("a")
    harness.connections.hold()
    harness.pump()
    await eventually(lambda: harness.connections.attempts == 1)
    harness.dispatcher.close("c1")
    await eventually(lambda: harness.connections.attempts == 2)
    harness.connections.release()
    await harness.dispatcher.drain()
    assert told(harness, "c1") == ["stream_interrupted"]
    assert harness.connections.deleted == ["c1"]
    assert not harness.dispatcher.deliveries


async def test_dispatcher_closes_the_connection_after_an_unexpected_error(
    harness: RelayHarness, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.open("c1")
    harness.connections.fail("c1", ZeroDivisionError("a defect"))
    harness.pump()
    await harness.dispatcher.drain()
    assert harness.connections.deleted == ["c1"]
    assert "a defect" in caplog.text
    assert "Traceback" in caplog.text


async def test_dispatcher_retries_completion_while_valkey_is_away(
    harness: RelayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = await harness.open("c1")
    await author.complete()
    failures = [UnavailableError("away")] * 2
    delivered = harness.valkey.delivered

    async def sometimes(
        relay_id: str, response_id: str, *, connection_id: str | None = None
    ) -> None:
        if failures:
            raise failures.pop()
        await delivered(relay_id, response_id, connection_id=connection_id)

    monkeypatch.setattr(harness.valkey, "delivered", sometimes)
    harness.pump()
    await harness.dispatcher.drain()
    assert not failures
    assert await harness.valkey.undelivered(RELAY) == set()


async def test_dispatcher_logs_errors_of_a_completion(
    harness: RelayHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_connection_id: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(harness.valkey, "abandon", broken)
    await harness.open("c1")
    harness.connections.hang_up("c1")
    harness.pump()
    await harness.dispatcher.drain()
    assert "could not be completed" in caplog.text


@pytest.mark.parametrize("seed", range(10))
async def test_dispatcher_delivers_exactly_despite_random_losses_repeats_and_refusals(
    harness: RelayHarness, seed: int
) -> None:
    chance = random.Random(seed)
    authors = [await harness.open(f"c{1 + index % 2}") for index in range(6)]
    on_the_way: list[Publication] = []
    for connection_id in ("c1", "c2"):
        failures = [None, None, None, PostThrottledError("429")]
        harness.connections.fail(connection_id, *chance.choices(failures, k=30))

    async def arrive() -> None:
        on_the_way.extend(p for p in harness.publications() if chance.random() > 0.2)
        chance.shuffle(on_the_way)
        for publication in on_the_way[: chance.randint(0, 6)]:
            harness.dispatcher.receive(publication)
        del on_the_way[: chance.randint(0, 4)]
        await asyncio.sleep(0)

    for _ in range(10):
        for author in authors:
            await author.say(*"ab"[: chance.randint(0, 2)])
            await arrive()
    for author in authors:
        await author.complete()
        await arrive()
        await harness.dispatcher.find(author.response_id)
    harness.dispatcher.request_read_all()
    await harness.dispatcher.drain()
    for author in authors:
        posts = harness.connections.posts[author.connection_id]
        own = [post for post in posts if post in set(author.written)]
        assert sorted(own, key=lambda post: int(loads(post)["sequence_number"])) == own
        assert own == author.written
    total = sum(len(author.written) for author in authors)
    assert sum(map(len, harness.connections.posts.values())) == total


async def test_dispatcher_completes_the_closing_of_a_gone_connection(harness: RelayHarness) -> None:
    await harness.open("c1")
    harness.connections.fail("c1", PostUncertainError("timeout"), ConnectionGoneError("410"))
    harness.pump()
    await harness.dispatcher.drain()
    assert await harness.valkey.undelivered(RELAY) == set()


async def test_dispatcher_does_not_wait_for_a_hanging_post_on_halt(
    harness: RelayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "HALT_S", 0.05)
    author = await harness.open("c1")
    harness.connections.hold()
    harness.pump()
    await eventually(lambda: harness.connections.attempts == 1)
    await harness.dispatcher.halt()
    assert (await harness.describe(author)).checkpoint == DeliveryCheckpoint(0, TailState.GRANTED)
    await author.say("a")
    harness.pump()
    assert harness.connections.attempts == 1


async def test_dispatcher_closes_nothing_and_starts_nothing_after_a_halt(
    harness: RelayHarness,
) -> None:
    author, later = await harness.open("c1"), await harness.open("c2")
    harness.pump()
    await harness.completed(author)
    await harness.dispatcher.halt()
    await author.say("a")
    await later.resume("c1", first=0)
    harness.pump()
    await harness.dispatcher.find(author.response_id)
    await harness.dispatcher.find(later.response_id)
    await harness.dispatcher.drain()
    assert not harness.dispatcher.deliveries
    assert harness.connections.attempts == 2
    assert not harness.connections.deleted


async def test_dispatcher_stops_all_responses_of_a_connection_that_it_closes(
    harness: RelayHarness,
) -> None:
    known, unknown = await harness.open("c1"), await harness.open("c1")
    for publication in harness.publications()[:1]:
        harness.dispatcher.receive(publication)
    await harness.completed(known)
    harness.connections.fail("c1", *[PostThrottledError("429")] * 3)
    harness.dispatcher.close("c1", [unknown.response_id])
    for author in (known, unknown):
        await author.say("a")
        await author.resume("c1", first=0)
        harness.pump()
        assert not harness.dispatcher.deliveries
    await harness.dispatcher.drain()
    assert harness.connections.deleted == ["c1"]
    assert harness.connections.posts["c1"][:-1] == known.written[:1]
    for author in (known, unknown):
        assert not harness.dispatcher.has_ended(author.response_id, "c2")
        assert harness.dispatcher.has_ended(author.response_id, "c1")


async def test_dispatcher_closes_a_connection_once(harness: RelayHarness) -> None:
    first, second = await harness.open("c1"), await harness.open("c1")
    harness.lose()
    harness.dispatcher.close("c1", [first.response_id])
    harness.dispatcher.close("c1", [second.response_id])  # the fake refuses two posts at a time
    await harness.dispatcher.drain()
    assert told(harness, "c1") == ["stream_interrupted"]
    assert harness.connections.deleted == ["c1"]
    assert await harness.valkey.undelivered(RELAY) == set()


async def test_dispatcher_looks_a_response_up_once_at_a_time(
    harness: RelayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = await harness.open("c1")
    harness.lose()
    describe, described = harness.valkey.describe, []

    async def counted(response_id: str) -> object:
        described.append(response_id)
        await asyncio.sleep(0)
        return await describe(response_id)

    monkeypatch.setattr(harness.valkey, "describe", counted)
    await author.say("a", "b", "c")
    harness.pump()
    await harness.received(author)
    assert described == [author.response_id]
