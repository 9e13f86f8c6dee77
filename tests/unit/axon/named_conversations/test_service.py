"""Responses of a named conversation: where they go, and what the end of one leaves."""

import asyncio
from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from axon.conversations import Turn
from axon.event_log.log import Status
from axon.event_log.openings import NewResponse, Opening
from axon.exceptions import ConversationPendingError, RequestError, UnavailableError
from axon.ids import new_id
from axon.named_conversations.service import LOST_AFTER_S
from axon.named_conversations.store import NamedConversation
from axon.protocol.item_pages import ItemPage
from axon.protocol.requests import DeleteResponse
from axon.protocol.view_requests import to_count
from tests.support.eventually import eventually
from tests.support.principals import a_principal
from tests.unit.axon.responses.service_harness import ResponseHarness
from tests.unit.axon.samples import MODEL, TENANT, a_request

ALL = ItemPage(limit=100, newest_first=False, after=None)


class LostReply:
    """Steps of an opening whose reply is lost."""

    def __init__(self) -> None:
        self.applied = asyncio.Event()
        self.lost = asyncio.Event()


class Harness(ResponseHarness):
    """A response service with one named conversation."""

    async def begin(self) -> None:
        await super().begin()
        self.id = new_id("conv")
        await self.named.create(self.id, tenant_id=TENANT, metadata={})

    async def ask(self, text: str, **fields: Any) -> str:
        return await self.submit(input=text, conversation=self.id, **fields)

    def lose_reply(self) -> "LostReply":
        """Lose the reply to the next opening, which Valkey applies."""
        reply, real = LostReply(), self.valkey.open

        async def open_(response: NewResponse) -> Opening:
            self.valkey.open = real  # type: ignore[method-assign]
            await real(response)
            reply.applied.set()
            await reply.lost.wait()
            raise UnavailableError("no answer in time")

        self.valkey.open = open_  # type: ignore[method-assign]
        return reply

    async def is_waiting(self, response_id: str) -> bool:
        status = await self.status(response_id)
        return status is Status.QUEUED

    def running(self) -> str | None:
        return self.store.conversations[self.id].running

    async def texts(self) -> list[str]:
        """Return the texts of all items of the conversation."""
        page = await self.items.page(self.id, ALL, tenant_id=TENANT)
        ids = [item["id"] for item in page["data"]]
        assert len(set(ids)) == len(ids)
        return [item["content"][0]["text"] for item in page["data"]]

    async def code(self, **fields: Any) -> str:
        """Return the code with which a request in the conversation is refused."""
        return (await self.refusal(conversation=self.id, **fields)).code


@pytest.fixture
async def harness() -> Harness:
    harness = Harness()
    await harness.begin()
    return harness


class TestNamedConversation:
    async def test_gets_input_and_output_of_each_response(self, harness: Harness) -> None:
        await harness.answer(await harness.ask("one"), "1")
        harness.jobs_sent()
        second = await harness.ask("two")
        (job,) = harness.jobs_sent()
        assert job.conversation_id == harness.id
        assert await harness.texts() == ["one", "1"]
        await harness.answer(second, "2")
        assert await harness.texts() == ["one", "1", "two", "2"]
        shown = (await harness.events(second))[-1]["response"]
        assert (shown["conversation"], shown["previous_response_id"]) == ({"id": harness.id}, None)
        turns = await harness.conversations.turns_before(
            job.previous_response_id, tenant_id=TENANT, connection_id=""
        )
        assert [turn.input[0]["content"] for turn in turns] == ["one"]

    async def test_gives_its_items_ids_of_their_own(self, harness: Harness) -> None:
        item = {"id": "msg_mine", "role": "user", "content": "again"}
        await harness.items.add(harness.id, [item, item], principal=a_principal(TENANT))
        await harness.answer(await harness.submit(input=[item], conversation=harness.id), "yes")
        assert await harness.texts() == ["again", "again", "again", "yes"]

    async def test_takes_items_that_come_at_the_same_time_and_each_once_under_a_key(
        self, harness: Harness
    ) -> None:
        who = a_principal(TENANT)
        calls = [
            harness.items.add(harness.id, [{"content": text}], principal=who, key=key)
            for text, key in (("a", "k"), ("b", "k"), ("b", "k"), ("b", ""))
        ]
        pages = await asyncio.gather(*calls)
        assert sorted(await harness.texts()) == ["a", "b", "b"]
        assert pages[1] == pages[2]

    async def test_is_created_once_under_a_key_also_if_the_first_call_has_died(
        self, harness: Harness
    ) -> None:
        async def create(text: str) -> str:
            made = await harness.items.create(
                [{"content": text}], metadata={}, principal=a_principal(TENANT), key="k"
            )
            return str(made["id"])

        harness.id = await create("a")
        harness.store.conversations[harness.id] = replace(
            harness.store.conversations[harness.id], head=None
        )
        assert await create("a") == await create("a") == harness.id
        assert await harness.texts() == ["a"]
        assert await create("b") != harness.id

    @pytest.mark.parametrize("items", [[], [{"content": "a"}]])
    async def test_is_not_created_again_once_it_was_deleted_or_continued(
        self, harness: Harness, items: list[dict[str, Any]]
    ) -> None:
        who = a_principal(TENANT)

        async def create(key: str) -> str:
            made = await harness.items.create(items, metadata={}, principal=who, key=key)
            return str(made["id"])

        await harness.named.delete(await create("deleted"), tenant_id=TENANT)
        await harness.submit(conversation=await create("running"))
        await harness.items.add(await create("longer"), [{"content": "b"}], principal=who)
        for key in ("deleted", "running", "longer"):
            with pytest.raises(RequestError, match="Use another Idempotency-Key") as refused:
                await create(key)
            assert (refused.value.status, refused.value.code) == (409, "idempotency_key_reused")

    async def test_is_locked_while_a_response_runs(self, harness: Harness) -> None:
        running = await harness.ask("one")
        harness.jobs_sent()
        refused = await harness.refusal(conversation=harness.id)
        assert (refused.status, refused.code) == (409, "conversation_locked")
        with pytest.raises(RequestError, match="Another process"):
            await harness.items.add(harness.id, [{}], principal=a_principal(TENANT))
        await harness.answer(running, "1")
        await harness.ask("two")

    async def test_is_left_alone_by_a_request_that_counts_its_tokens(
        self, harness: Harness
    ) -> None:
        await harness.answer(await harness.ask("one"), "1")
        harness.jobs_sent()
        counting = to_count(a_request(input="two", conversation=harness.id))
        await harness.service.submit(counting, principal=a_principal(TENANT))
        (job,) = harness.jobs_sent()
        assert job.previous_response_id is not None
        await harness.ask("three")

    async def test_takes_one_of_two_requests_that_have_read_the_same(
        self, harness: Harness
    ) -> None:
        found = await harness.named.find(harness.id, tenant_id=TENANT)
        await harness.ask("one")
        assert not await harness.store.claim(found, head=None, response_id="resp_1")

    async def test_gets_nothing_of_a_response_that_has_failed(self, harness: Harness) -> None:
        harness.jobs.fail_with = UnavailableError("the queue is away")
        failed = await harness.ask("lost")
        assert await harness.status(failed) is Status.FAILED
        harness.jobs.fail_with = None
        await harness.answer(await harness.ask("kept"), "1")
        assert await harness.texts() == ["kept", "1"]

    async def test_gets_what_a_cancelled_response_has(self, harness: Harness) -> None:
        running = await harness.ask("one")
        await harness.say(running, "half an ans")
        await harness.cancel(running)
        assert await harness.texts() == ["one", "half an ans"]

    async def test_stays_as_it_is_if_a_request_is_refused(self, harness: Harness) -> None:
        assert await harness.code(model="unknown") == "model_not_found"
        harness.alias({"either": {"unknown": 1.0, MODEL: 1.0}})
        await harness.ask("one", model="either")

    async def test_gives_a_repeated_request_its_first_response(self, harness: Harness) -> None:
        first = await harness.ask("one", idempotency_key="k")
        assert await harness.ask("one", idempotency_key="k") == first
        await harness.answer(first, "1")
        assert await harness.ask("one", idempotency_key="k") == first
        assert await harness.texts() == ["one", "1"]

    @pytest.mark.parametrize("ended", [False, True])
    @pytest.mark.parametrize("client", ["waits", "leaves", "leaves for good"])
    async def test_gets_a_response_whose_opening_the_client_has_not_heard_of(
        self, harness: Harness, client: str, ended: bool
    ) -> None:
        await harness.answer(await harness.ask("one"), "1")
        reply = harness.lose_reply()
        asking = asyncio.create_task(harness.ask("two", idempotency_key="k"))
        await reply.applied.wait()
        if client != "waits":
            asking.cancel()
        reply.lost.set()
        with pytest.raises((UnavailableError, asyncio.CancelledError)):
            await asking
        (second,) = [known for known in harness.valkey._logs if await harness.is_waiting(known)]
        harness.jobs_sent()
        if client == "leaves for good":
            assert await harness.code() == "conversation_locked"
        else:
            assert await harness.ask("two", idempotency_key="k") == second
        await harness.answer(second, "2")
        if ended:
            assert await harness.ask("two", idempotency_key="k") == second
        assert await harness.texts() == ["one", "1", "two", "2"]

    @pytest.mark.parametrize("ended", [False, True])
    async def test_returns_to_the_first_response_of_a_repeated_request(
        self, harness: Harness, ended: bool
    ) -> None:
        await harness.answer(await harness.ask("one"), "1")
        second = await harness.ask("two", idempotency_key="k")
        found = await harness.named.find(harness.id, tenant_id=TENANT)
        await harness.store.release(found, response_id=second)  # as it was not known to be open
        if ended:
            await harness.answer(second, "2")
        assert await harness.ask("two", idempotency_key="k") == second
        harness.jobs_sent()
        if not ended:
            assert await harness.code() == "conversation_locked"
            await harness.answer(second, "2")
        assert await harness.texts() == ["one", "1", "two", "2"]

    async def test_is_free_after_an_opening_that_has_failed(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        away = UnavailableError("Valkey is away")
        with monkeypatch.context() as patch:
            patch.setattr(harness.valkey, "open", AsyncMock(side_effect=away))
            with pytest.raises(UnavailableError):
                await harness.ask("lost")
            patch.setattr(harness.valkey, "describe", AsyncMock(side_effect=away))
            await asyncio.sleep(0)  # asks, and fails
        await eventually(lambda: harness.running() is None)
        await harness.answer(await harness.ask("one"), "1")
        assert await harness.texts() == ["one", "1"]

    async def test_goes_on_after_a_response_that_was_deleted(self, harness: Harness) -> None:
        deleted = await harness.ask("one")
        await harness.service.delete(
            DeleteResponse(type="response.delete", response_id=deleted),
            principal=a_principal(TENANT),
        )
        del harness.valkey._logs[deleted]  # as in Valkey
        assert await harness.texts() == []
        await harness.ask("two")

    async def test_waits_for_a_response_that_nobody_knows(self, harness: Harness) -> None:
        found = await harness.named.find(harness.id, tenant_id=TENANT)
        assert await harness.store.claim(found, head=None, response_id="resp_" + "0" * 32)
        assert await harness.code() == "conversation_locked"
        harness.store.age(harness.id, LOST_AFTER_S)
        await harness.ask("one")

    async def test_waits_for_turns_that_are_on_their_way_to_the_database(
        self, harness: Harness
    ) -> None:
        first = await harness.ask("one")
        await harness.answer(first, "1")
        await harness.turns.evict(first)
        with pytest.raises(ConversationPendingError, match=harness.id):
            await harness.ask("two")

    async def test_says_at_last_that_a_turn_never_arrives(self, harness: Harness) -> None:
        first = await harness.ask("one")
        await harness.answer(first, "1")
        harness.jobs_sent()
        await harness.turns.evict(first)
        harness.store.age(harness.id, LOST_AFTER_S)
        assert await harness.code() == "conversation_incomplete"
        with pytest.raises(RequestError, match="Create a new conversation"):
            await harness.texts()
        harness.pending.tenants[first] = TENANT  # its record waits in a dead-letter queue
        with pytest.raises(ConversationPendingError):
            await harness.texts()

    async def test_is_read_by_one_reader_of_a_tenant_at_a_time(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading, most = 0, 0
        real = harness.named.turns

        async def turns(found: NamedConversation, head: str | None) -> list[Turn]:
            nonlocal reading, most
            reading += 1
            most = max(most, reading)
            await asyncio.sleep(0)
            reading -= 1
            return await real(found, head)

        monkeypatch.setattr(harness.named, "turns", turns)
        await asyncio.gather(*(harness.texts() for _ in range(4)))
        assert most == 1

    async def test_has_a_bounded_number_of_items(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("axon.conversations.MAX_CONVERSATION_ITEMS", 2)
        who = a_principal(TENANT)
        await harness.items.add(harness.id, [{"content": "a"}, {"content": "b"}], principal=who)
        assert await harness.code() == "conversation_too_long"
        with pytest.raises(RequestError, match="2 items"):
            await harness.items.add(harness.id, [{"content": "c"}], principal=who)

    async def test_is_unknown_to_other_tenants(self, harness: Harness) -> None:
        with pytest.raises(RequestError) as refused:
            await harness.submit(tenant_id="other", conversation=harness.id)
        assert (refused.value.status, refused.value.code) == (404, "conversation_not_found")
