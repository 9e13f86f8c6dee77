import pytest

from axon.conversations import Conversations, Turn
from axon.exceptions import RequestError
from axon.testing.stores import FakeTurns
from tests.unit.axon.samples import a_job
from worker.pipeline.retrieve import retrieve


async def test_retrieve_returns_no_turns_for_a_first_request() -> None:
    conversations = Conversations(cache=FakeTurns(), database=FakeTurns())
    assert await retrieve(a_job(), conversations) == []


async def test_retrieve_returns_the_earlier_turns() -> None:
    turns = FakeTurns()
    conversations = Conversations(cache=turns, database=FakeTurns())
    first = a_job()
    await turns.put([Turn.of(first, output=[])])
    job = a_job(previous_response_id=first.response_id)
    assert await retrieve(job, conversations) == [Turn.of(first, output=[])]


async def test_retrieve_refuses_a_turn_that_no_longer_exists() -> None:
    conversations = Conversations(cache=FakeTurns(), database=FakeTurns())
    with pytest.raises(RequestError, match="resp_0") as caught:
        await retrieve(a_job(previous_response_id="resp_0"), conversations)
    assert caught.value.code == "previous_response_not_found"
