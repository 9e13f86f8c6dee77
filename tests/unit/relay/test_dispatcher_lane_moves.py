"""Responses that are asked for again in another lane of their connection."""

import pytest

from axon.serialization import dumps, loads
from tests.support.eventually import eventually
from tests.unit.relay.relay_harness import RelayHarness
from tests.unit.relay.test_dispatcher_lanes import LANE, rest


def without_stream(post: bytes) -> tuple[object, bytes]:
    """Return the stream id of a post, and the post without it."""
    fields = loads(post)
    return fields.pop("stream_id", None), dumps(fields)


@pytest.mark.parametrize(
    ("lane", "to", "stream_id"), [("*", "a%20b", "a b"), ("a%20b", "*", None), ("a", "b", "b")]
)
async def test_response_that_is_asked_for_in_another_lane_goes_on_there(
    harness: RelayHarness, lane: str, to: str, stream_id: str | None
) -> None:
    author = await harness.open("c1", lane=lane)
    harness.pump()
    posts = harness.connections.posts["c1"]
    await eventually(lambda: len(posts) == 1)
    await author.resume("c1", first=0, lane=to)
    harness.pump()
    await author.complete()
    harness.pump()
    await harness.dispatcher.drain()
    notice, *moved = posts[1:]
    assert loads(notice)["code"] == "response_moved"
    assert loads(notice).get("stream_id") == loads(author.written[0]).get("stream_id")
    expected = [(stream_id, without_stream(event)[1]) for event in author.written]
    assert [without_stream(post) for post in moved] == expected


async def test_response_is_the_last_one_of_the_lane_where_it_is_asked_for(
    harness: RelayHarness,
) -> None:
    there = await harness.open("c1", lane="a")
    here = await harness.open("c1", lane=LANE)
    harness.pump()
    await here.resume("c1", first=0, lane="a")
    behind = await harness.open("c1", lane="a")
    for author in (behind, here, there):
        await author.complete()
    harness.pump()
    await harness.dispatcher.drain()
    posts = [loads(post) for post in harness.connections.posts["c1"]]
    created = [p["response"]["id"] for p in posts if p["type"] == "response.created"]
    in_lane = [p for p in posts if p.get("stream_id") == "a"]
    ended = [p["response"]["id"] for p in in_lane if p["type"] == "response.completed"]
    ids = [author.response_id for author in (there, here, behind)]
    assert ended == ids
    assert created[-2:] == ids[1:]


async def test_lane_gets_all_of_a_response_though_its_former_delivery_goes_on_a_while(
    harness: RelayHarness,
) -> None:
    """The checkpoint of what was posted in the former lane comes after the move."""
    author = await harness.open("c1", lane=LANE)
    await author.say("a")
    harness.pump()
    await harness.completed(author)
    await author.resume("c1", first=0, lane="a")
    moved = harness.publications()
    await author.say("b")
    harness.pump()
    await rest()
    for publication in moved:
        harness.dispatcher.receive(publication)
    await author.complete()
    harness.pump()
    await harness.dispatcher.drain()
    in_lane = [without_stream(post) for post in harness.connections.posts["c1"]]
    expected = [without_stream(event)[1] for event in author.written]
    codes_of = [loads(post).get("code") for _, post in in_lane]
    assert [post for stream_id, post in in_lane if stream_id == "a"] == expected
    assert codes_of.count("response_moved") == 1
    assert not harness.connections.deleted
