"""Named conversations: of two changes at once, one succeeds; none is another tenant's."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from axon.adapters.postgres.conversations import PostgresConversationStore
from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.retention import PostgresResponseRows
from axon.adapters.postgres.stores import PostgresHistoryStore, PostgresTurnStore
from axon.conversations import Turn, TurnStore
from axon.history import HistoryRecord
from axon.ids import new_id
from axon.named_conversations.store import ConversationStore, NamedConversation
from axon.testing.conversations import FakeConversationStore
from axon.testing.stores import FakeHistory, FakeResponseRows, FakeTurns
from tests.contract.conftest import Kind

T = "tenant-1"


def items(*texts: str) -> list[dict[str, Any]]:
    return [{"id": f"msg_{text}", "role": "user", "content": text} for text in texts]


def turn_of(conversation: NamedConversation, *texts: str, after: str | None = None) -> Turn:
    return Turn(
        response_id=new_id("resp"),
        previous_response_id=after,
        conversation_id=conversation.conversation_id,
        tenant_id=conversation.tenant_id,
        input=items(*texts),
        output=[],
    )


def record_of(turn: Turn, *, version: int = 1) -> HistoryRecord:
    return HistoryRecord(
        **turn.model_dump(exclude={"connection_id", "output"}),
        version=version,
        created_ms=1_700_000_000_000,
        ended_ms=1_700_000_001_000,
        response={"model": "echo", "status": "completed", "output": turn.output},
    )


@dataclass(frozen=True, kw_only=True)
class Stores:
    conversations: ConversationStore
    turns: TurnStore
    write: Callable[[Sequence[Turn]], Awaitable[None]]
    delete: Callable[[str], Awaitable[bool]]

    async def create(self, **metadata: str) -> NamedConversation:
        name = new_id("conv")
        for repeated in (metadata, {"changed": "no"}):
            await self.conversations.create(name, tenant_id=T, metadata=repeated)
        found = await self.conversations.find(name, tenant_id=T)
        assert found is not None
        assert found.metadata.keys() == metadata.keys()
        return found

    async def find(self, conversation: NamedConversation) -> NamedConversation:
        found = await self.conversations.find(conversation.conversation_id, tenant_id=T)
        assert found is not None
        return found


@pytest.fixture
def stores(kind: Kind, request: pytest.FixtureRequest) -> Stores:
    if kind == "fake":
        turns = FakeTurns()
        rows = FakeResponseRows(FakeHistory())
        return Stores(
            conversations=FakeConversationStore(turns=turns, rows=rows),
            turns=turns,
            write=turns.put,
            delete=lambda name: rows.delete(name, tenant_id=T, accepted=True),
        )
    pool: Pool = request.getfixturevalue("pool")
    history = PostgresHistoryStore(pool=pool)
    return Stores(
        conversations=PostgresConversationStore(pool=pool),
        turns=PostgresTurnStore(pool=pool),
        write=lambda turns: history.write([record_of(turn) for turn in turns]),
        delete=lambda name: PostgresResponseRows(pool=pool).delete(
            name, tenant_id=T, accepted=True
        ),
    )


class TestConversationStore:
    async def test_finds_labels_and_deletes_for_the_tenant_alone(self, stores: Stores) -> None:
        store = stores.conversations
        made = await stores.create(topic="a\0b")
        assert (made.head, made.running, made.created_at > 0) == (None, None, True)
        name = made.conversation_id
        assert await store.find(name, tenant_id="other") is None
        assert await store.label(name, tenant_id="other", metadata={}) is None
        assert not await store.delete(name, tenant_id="other")
        labelled = await store.label(name, tenant_id=T, metadata={"topic": "new"})
        assert labelled == await stores.find(made)
        assert labelled.shown()["metadata"] == {"topic": "new"}
        assert await store.delete(name, tenant_id=T)
        assert await store.find(name, tenant_id=T) is None
        await store.create(name, tenant_id=T, metadata={})
        assert await store.find(name, tenant_id=T) is None
        assert not await store.delete(name, tenant_id=T)
        assert not await store.claim(made, head=None, response_id="resp_1")
        assert not await store.append(made, turn_of(made, "a"), key_id="")

    async def test_has_no_conversation_that_only_a_chain_of_responses_has_made(
        self, stores: Stores
    ) -> None:
        chain = NamedConversation(
            conversation_id=new_id("conv"), tenant_id=T, created_at=0, metadata={}
        )
        await stores.write([turn_of(chain, "a")])
        assert await stores.conversations.find(chain.conversation_id, tenant_id=T) is None
        assert not await stores.conversations.claim(chain, head=None, response_id="resp_1")

    async def test_appends_a_turn_that_the_chain_has(self, stores: Stores) -> None:
        made = await stores.create()
        first = turn_of(made, "a", "b")
        assert await stores.conversations.append(made, first, key_id="key_1")
        found = await stores.find(made)
        second = turn_of(made, "c", after=found.head)
        assert await stores.conversations.append(found, second, key_id="")
        assert await stores.turns.chain(second.response_id) == [first, second]
        assert (await stores.find(made)).head == second.response_id

    async def test_lets_one_of_many_changes_at_once_succeed(self, stores: Stores) -> None:
        made = await stores.create()
        turns = [turn_of(made, f"{n}") for n in range(3)]
        done = await asyncio.gather(
            *(stores.conversations.append(made, turn, key_id="") for turn in turns),
            *(
                stores.conversations.claim(made, head=None, response_id=new_id("resp"))
                for _ in range(3)
            ),
        )
        assert sum(done) == 1
        found = await stores.find(made)
        kept = [turn for turn in turns if await stores.turns.chain(turn.response_id)]
        assert [turn.response_id for turn in kept] == ([found.head] if found.head else [])

    async def test_takes_back_only_the_claim_that_it_is_told_of(self, stores: Stores) -> None:
        made = await stores.create()
        assert await stores.conversations.claim(made, head="resp_0", response_id="resp_1")
        claimed = await stores.find(made)
        assert (claimed.head, claimed.running) == ("resp_0", "resp_1")
        assert 0 <= claimed.running_s < 600
        await stores.conversations.release(made, response_id="resp_2")
        assert (await stores.find(made)).running == "resp_1"
        await stores.conversations.release(made, response_id="resp_1")
        assert (await stores.find(made)).running is None

    async def test_removes_an_item_of_a_turn_that_is_stored(self, stores: Stores) -> None:
        made = await stores.create()
        turn = turn_of(made, "a", "b").model_copy(update={"output": items("c", "d")})
        assert not await stores.conversations.remove_item(turn, item_id="msg_a")
        await stores.write([turn])
        for item_id in ("msg_a", "msg_d", "msg_unknown"):
            assert await stores.conversations.remove_item(turn, item_id=item_id)
        (left,) = await stores.turns.chain(turn.response_id)
        assert (left.input, left.output) == (items("b"), items("c"))

    async def test_knows_deleted_responses(self, stores: Stores) -> None:
        response_id = new_id("resp")
        assert not await stores.conversations.is_deleted(response_id)
        assert await stores.delete(response_id)
        assert await stores.conversations.is_deleted(response_id)
