"""Deliveries across a failover that loses the newest writes; other relays and attempts are real."""

import pytest

from axon.event_log.log import LoggedEvent, Status
from axon.event_log.publication import Publication
from axon.serialization import loads
from tests.support.eventually import eventually
from tests.unit.relay.log_author_stub import Author
from tests.unit.relay.relay_harness import RelayHarness, begun


async def rewind(harness: RelayHarness, snapshot: object) -> None:
    """Lose what was written since; the relays beat again."""
    harness.valkey.rewind(snapshot)
    for relay in harness.relays.values():
        await relay.lease.beat()


async def append_again(harness: RelayHarness, author: Author, *, first: int) -> None:
    """As the holder of the log does after a gap."""
    lost = [LoggedEvent(first + n, data) for n, data in enumerate(author.written[first:])]
    await harness.valkey.append(author.response_id, epoch=1, events=lost)


async def fail(harness: RelayHarness, author: Author, *, at: int) -> bytes:
    """As an attempt does that does not hold what was lost."""
    claim = await harness.valkey.claim(author.response_id)
    data = b'{"type":"response.failed","sequence_number":%d}' % at
    await harness.valkey.append(
        author.response_id,
        epoch=claim.epoch,
        events=[LoggedEvent(at, data)],
        status=Status.FAILED,
    )
    return data


async def test_delivery_goes_on_without_repetition_when_lost_events_are_appended_again(
    harness: RelayHarness,
) -> None:
    await harness.begin("c1")
    author = await begun(harness, "c1", "a")
    before, first = harness.valkey.snapshot(), len(author.written)
    await author.say("b", "c")
    harness.pump()
    await harness.received(author)
    await rewind(harness, before)
    harness.dispatcher.confirm_all()
    await harness.completed(author)  # the log is behind, and the relay has said what the client has
    await append_again(harness, author, first=first)
    await author.complete()
    harness.pump()
    await harness.received(author)
    assert not harness.connections.deleted


async def test_delivery_posts_nothing_that_the_new_log_may_lack(harness: RelayHarness) -> None:
    await harness.begin("c1")
    author = await begun(harness, "c1", "a")
    before, first = harness.valkey.snapshot(), len(author.written)
    await author.say("lost")
    await rewind(harness, before)
    harness.pump()  # published by the server that is lost
    harness.dispatcher.confirm_all()
    await eventually(
        lambda: harness.dispatcher.deliveries[author.response_id].generation[-1] == "1"
    )
    assert harness.connections.posts["c1"] == author.written[:first]
    failed = await fail(harness, author, at=first)
    harness.pump()
    await eventually(lambda: len(harness.connections.posts["c1"]) > first)
    assert harness.connections.posts["c1"] == [*author.written[:first], failed]


@pytest.mark.parametrize("noticed", [True, False])
async def test_delivery_ahead_of_a_failed_log_gets_the_failure_or_is_disconnected(
    harness: RelayHarness, noticed: bool
) -> None:
    await harness.begin("c1")
    author = await begun(harness, "c1", "a")
    before, first = harness.valkey.snapshot(), len(author.written)
    await author.say("lost")
    harness.pump()
    await harness.received(author)
    await rewind(harness, before)
    if noticed:  # before the attempt that fails the response claims it
        harness.dispatcher.confirm_all()
        await harness.completed(author)
    failed = await fail(harness, author, at=len(author.written) if noticed else first)
    harness.pump()
    harness.dispatcher.confirm_all()
    posts = harness.connections.posts["c1"]
    await eventually(lambda: len(posts) == len(author.written) + 1)
    if noticed:
        assert posts == [*author.written, failed]
    else:
        await eventually(lambda: harness.connections.deleted == ["c1"])
        assert posts[:-1] == author.written
        assert loads(posts[-1])["code"] == "stream_interrupted"


async def test_delivery_that_a_failover_has_moved_back_is_disconnected(
    harness: RelayHarness,
) -> None:
    await harness.begin("c1", "c2")
    author = await begun(harness, "c1", "a")
    before = harness.valkey.snapshot()
    await author.resume("c2", first=0)
    harness.pump()
    await harness.received(author, on="c2")
    await rewind(harness, before)
    harness.dispatcher.confirm_all()
    await eventually(lambda: "c2" in harness.connections.deleted)


@pytest.mark.parametrize("noticed", [True, False])
async def test_delivery_that_a_failover_has_moved_back_is_disconnected_by_a_publication(
    harness: RelayHarness, noticed: bool
) -> None:
    """It comes before the relay's own look, from a server whose generation it may not know yet."""
    await harness.begin("c1", "c2")
    author = await begun(harness, "c1", "a")
    before, first = harness.valkey.snapshot(), len(author.written)
    await author.resume("c2", first=0)
    await author.say("lost")
    harness.pump()
    await harness.received(author, on="c2")
    await rewind(harness, before)
    if noticed:
        await append_again(harness, author, first=first)
        harness.pump()
    else:
        generation = "generation-next"
        data = b"%b c1 %d -\n%b" % (author.response_id.encode(), first, author.written[first])
        harness.dispatcher.receive(Publication.decode(data, generation=generation))
    harness.dispatcher.confirm_all()
    await eventually(lambda: "c2" in harness.connections.deleted)


async def test_takeover_after_a_failover_closes_what_is_not_confirmed(
    harness: RelayHarness,
) -> None:
    await harness.begin("c1")
    other = await harness.join("relay-b")
    author = await begun(harness, "c1", "a")
    before = harness.valkey.snapshot()
    await author.say("lost")
    harness.pump()
    await harness.received(author)
    await rewind(harness, before)
    await harness.kill(harness.relay)
    for _ in range(3):
        await harness.outlast()
    await other.failover.step()
    await eventually(lambda: harness.connections.deleted == ["c1"])


async def test_dispatcher_reads_the_log_for_a_publication_of_another_generation(
    harness: RelayHarness,
) -> None:
    await harness.begin("c1")
    author = await begun(harness, "c1", "a")
    first = len(author.written)
    harness.dispatcher.receive(
        Publication.decode(
            b"%b c1 %d -\nfrom nowhere" % (author.response_id.encode(), first),
            generation="generation-before",
        )
    )
    await author.complete()
    harness.pump()
    await harness.received(author)


async def test_delivery_is_disconnected_when_a_fenced_attempt_appends_other_events(
    harness: RelayHarness,
) -> None:
    """The claim that had fenced it is lost, with what the newer attempt had appended."""
    await harness.begin("c1")
    author = await begun(harness, "c1", "a")
    before, first = harness.valkey.snapshot(), len(author.written)
    await author.say("lost")
    harness.pump()
    await harness.received(author)
    await rewind(harness, before)
    harness.dispatcher.confirm_all()
    await harness.completed(author)
    other = LoggedEvent(first, b'{"type":"response.output_text.delta","other":1}')
    await harness.valkey.append(author.response_id, epoch=1, events=[other])
    harness.pump()
    await eventually(lambda: harness.connections.deleted == ["c1"])
    assert harness.connections.posts["c1"][:-1] == author.written
