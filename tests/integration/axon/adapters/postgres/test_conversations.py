"""Turns of named conversations in a real database: deleted ones leave a link, and no content."""

import pytest

from axon.adapters.postgres.conversations import PostgresConversationStore
from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.retention import PostgresResponseRows
from axon.adapters.postgres.stores import PostgresHistoryStore, PostgresTurnStore
from axon.ids import new_id
from axon.named_conversations.store import NamedConversation
from tests.contract.axon.named_conversations.test_store import T, items, record_of, turn_of


async def created(store: PostgresConversationStore) -> NamedConversation:
    conversation_id = new_id("conv")
    await store.create(conversation_id, tenant_id=T, metadata={})
    found = await store.find(conversation_id, tenant_id=T)
    assert found is not None
    return found


@pytest.mark.parametrize("late", [False, True])
async def test_deleted_response_of_a_named_conversation_leaves_an_empty_turn(
    pool: Pool, late: bool
) -> None:
    history, rows = PostgresHistoryStore(pool=pool), PostgresResponseRows(pool=pool)
    made = await created(PostgresConversationStore(pool=pool))
    first = turn_of(made, "a")
    gone = turn_of(made, "secret", after=first.response_id).model_copy(
        update={"output": items("answer")}
    )
    last = turn_of(made, "b", after=gone.response_id)
    await history.write([record_of(turn) for turn in (first, last)])
    if not late:
        await history.write([record_of(gone)])
    assert await rows.delete(gone.response_id, tenant_id=T, accepted=late)
    # Repeated, and of a later attempt.
    await history.write([record_of(gone), record_of(gone, version=1 << 40)])
    chain = await PostgresTurnStore(pool=pool).chain(last.response_id)
    assert [turn.input for turn in chain] == [items("a"), [], items("b")]
    assert chain[1].output == []
    assert await rows.read(gone.response_id, tenant_id=T) is None
    assert await rows.status(gone.response_id, tenant_id=T) is None
    assert await rows.delete(gone.response_id, tenant_id=T, accepted=False)


async def test_items_that_a_client_has_added_are_no_response(pool: Pool) -> None:
    store, rows = PostgresConversationStore(pool=pool), PostgresResponseRows(pool=pool)
    made = await created(store)
    turn = turn_of(made, "a")
    assert await store.append(made, turn, key_id="")
    assert await rows.read(turn.response_id, tenant_id=T) is None
    assert await rows.status(turn.response_id, tenant_id=T) is None
    assert not await rows.delete(turn.response_id, tenant_id=T, accepted=False)
    assert await PostgresTurnStore(pool=pool).chain(turn.response_id) == [turn]


async def test_removed_item_does_not_come_back_with_a_later_record(pool: Pool) -> None:
    store, history = PostgresConversationStore(pool=pool), PostgresHistoryStore(pool=pool)
    made = await created(store)
    turn = turn_of(made, "a").model_copy(update={"output": items("b", "c")})
    outline = {"steps": [], "forks": ""}
    await history.write([record_of(turn).model_copy(update={"outline": outline})])
    assert await store.remove_item(turn, item_id="msg_b")
    await history.write([record_of(turn, version=1 << 40)])
    (left,) = await PostgresTurnStore(pool=pool).chain(turn.response_id)
    assert left.output == items("c")
    stored = await PostgresResponseRows(pool=pool).read(turn.response_id, tenant_id=T)
    assert stored is not None
    assert stored.outline is None
