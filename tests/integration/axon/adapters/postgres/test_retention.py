"""Retention and deletion in a real database, as the role of functions."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.retention import PostgresResponseRows, PostgresRetention
from axon.adapters.postgres.stores import PostgresHistoryStore, PostgresTurnStore
from axon.history import HistoryRecord
from axon.retention import Expired, RetentionSweep, TenantRetention
from tests.support.clients import postgres_pool

DAY_MS = 24 * 3600 * 1000
Owner = psycopg.AsyncConnection[tuple[object, ...]]


@pytest.fixture
async def owner(postgres_dsn: str) -> AsyncIterator[Owner]:
    async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def now_ms(owner: Owner) -> int:
    cursor = await owner.execute("SELECT extract(epoch FROM now()) * 1000")
    row = await cursor.fetchone()
    assert row is not None
    return int(str(row[0]).partition(".")[0])


def record(name: str, *, conversation: str, tenant: str = "t", ended_ms: int) -> HistoryRecord:
    return HistoryRecord(
        response_id=f"resp_{name}",
        previous_response_id=None,
        conversation_id=conversation,
        tenant_id=tenant,
        version=1,
        created_ms=ended_ms - 1000,
        ended_ms=ended_ms,
        response={"model": "echo", "status": "completed", "output": []},
        input=[],
    )


async def left(owner: Owner, table: str = "responses", column: str = "response_id") -> set[str]:
    cursor = await owner.execute(f"SELECT {column} FROM {table}".encode())
    return {str(row[0]) for row in await cursor.fetchall()}


class TestRetention:
    async def test_deletes_conversations_that_nobody_has_used_for_their_tenants_time(
        self, pool: Pool, owner: Owner, now_ms: int
    ) -> None:
        store = PostgresRetention(pool=pool)
        for tenant in ("brief", "forever", "usual"):
            await owner.execute("INSERT INTO tenants VALUES (%s)", [tenant])
        assert await store.set_days("brief", 2)
        assert await store.set_days("forever", 0)
        assert not await store.set_days("nobody", 1)
        await PostgresHistoryStore(pool=pool).write(
            [
                record(f"{tenant}{age}", conversation=f"{tenant}{age}", tenant=tenant,
                       ended_ms=now_ms - age * DAY_MS)
                for tenant in ("brief", "forever", "usual", "without-key")
                for age in (1, 3, 40)
            ]
        )  # fmt: skip
        expired = await RetentionSweep(store=store, default_days=30, pause_s=0).run(within_s=20)
        assert expired == Expired(responses=4, conversations=4)
        kept = {"brief1", "forever1", "forever3", "forever40", "usual1", "usual3", "without-key1",
                "without-key3"}  # fmt: skip
        assert await left(owner) == {f"resp_{name}" for name in kept}
        assert await left(owner, "conversations", "conversation_id") == kept
        assert await store.set_days("brief", None)
        retentions = await store.tenants(default_days=30)
        assert {(each.tenant_id, each.days) for each in retentions} == {
            ("brief", 30), ("usual", 30), ("without-key", 30),
        }  # fmt: skip

    async def test_keeps_the_beginning_of_a_conversation_that_is_in_use(
        self, pool: Pool, owner: Owner, now_ms: int
    ) -> None:
        records = [
            record(str(age), conversation="c", ended_ms=now_ms - age * DAY_MS)
            for age in (90, 60, 1)
        ]
        await PostgresHistoryStore(pool=pool).write(records)
        sweep = RetentionSweep(store=PostgresRetention(pool=pool), default_days=30, pause_s=0)
        assert not await sweep.run(within_s=20)
        assert len(await left(owner)) == 3

    async def test_deletes_in_batches_and_leaves_what_others_hold(
        self, pool: Pool, owner: Owner, now_ms: int
    ) -> None:
        old = now_ms - 50 * DAY_MS
        await PostgresHistoryStore(pool=pool).write(
            [record(f"{n}", conversation=f"c{n % 3}", ended_ms=old + n) for n in range(12)]
        )
        store, retention = PostgresRetention(pool=pool), TenantRetention("t", 30)
        first = await store.expire(retention, limit=5)
        assert first.responses == 5
        async with owner.transaction():
            # Somebody continues c2 at this moment; nobody waits for anybody.
            await owner.execute("SELECT FROM conversations WHERE conversation_id = 'c2' FOR UPDATE")
            async with asyncio.timeout(10):
                while await store.expire(retention, limit=5):
                    pass
            assert await left(owner, "conversations", "conversation_id") == {"c2"}
        while await store.expire(retention, limit=5):
            pass
        assert await left(owner) == set()

    async def test_refuses_to_delete_what_is_younger_than_a_day(self, pool: Pool) -> None:
        with pytest.raises(psycopg.errors.RaiseException, match="at least 1"):
            await PostgresRetention(pool=pool).expire(TenantRetention("t", 0), limit=10)

    async def test_forgets_old_tombstones(self, pool: Pool, owner: Owner) -> None:
        await owner.execute(
            "INSERT INTO deleted_responses VALUES ('old', 't', now() - interval '61 days'), "
            "('new', 't', now() - interval '59 days')"
        )
        sweep = RetentionSweep(store=PostgresRetention(pool=pool), default_days=30, pause_s=0)
        await sweep.run(within_s=20)
        assert await left(owner, "deleted_responses") == {"new"}


class TestDeletedResponses:
    async def test_deletes_for_the_tenant_alone_and_keeps_the_row_from_coming_back(
        self, pool: Pool, owner: Owner, now_ms: int
    ) -> None:
        history, deleted = PostgresHistoryStore(pool=pool), PostgresResponseRows(pool=pool)
        records = [record(str(n), conversation="c", ended_ms=now_ms) for n in range(2)]
        await history.write(records)
        assert await deleted.status("resp_0", tenant_id="t") == records[0].response["status"]
        assert await deleted.status("resp_0", tenant_id="other") is None
        assert not await deleted.delete("resp_0", tenant_id="other", accepted=False)
        assert not await deleted.delete("resp_9", tenant_id="t", accepted=False)
        assert await deleted.delete("resp_0", tenant_id="t", accepted=False)
        assert await deleted.delete("resp_0", tenant_id="t", accepted=False)
        assert not await deleted.delete("resp_0", tenant_id="other", accepted=True)
        late = records[0].model_copy(update={"version": 2})
        await history.write([records[0], late, records[1]])
        assert await left(owner) == {"resp_1"}
        assert await deleted.status("resp_0", tenant_id="t") is None
        assert await PostgresTurnStore(pool=pool).chain("resp_0") == []

    @pytest.mark.parametrize("first", ["writer", "deletion"])
    async def test_is_ordered_with_a_writer_at_the_same_moment(
        self, pool: Pool, app_dsn: str, owner: Owner, now_ms: int, first: str
    ) -> None:
        """Whichever commits first: the row is gone."""
        made = record("0", conversation="c", ended_ms=now_ms)
        async with postgres_pool(app_dsn) as other:
            write = PostgresHistoryStore(pool=pool).write([made])
            delete = PostgresResponseRows(pool=other).delete("resp_0", tenant_id="t", accepted=True)
            lock = "SELECT pg_advisory_xact_lock(hashtextextended('resp_0', 0))"
            async with owner.transaction():
                await owner.execute(lock.encode())  # both wait for it, in the order of their calls
                calls = [write, delete] if first == "writer" else [delete, write]
                tasks = []
                for number, call in enumerate(calls, start=1):
                    tasks.append(asyncio.create_task(call))
                    await waiting(owner, number)
            async with asyncio.timeout(20):
                await asyncio.gather(*tasks)
        assert await left(owner) == set()
        assert await left(owner, "deleted_responses") == {"resp_0"}


async def waiting(owner: Owner, count: int) -> None:
    """Wait until `count` sessions wait for an advisory lock."""
    async with asyncio.timeout(20):
        while True:
            cursor = await owner.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_database ON database = pg_database.oid "
                "WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
            )
            row = await cursor.fetchone()
            if row == (count,):
                return
            await asyncio.sleep(0.01)


SERVES: dict[str, str] = {
    "tenants_pkey": "SELECT FROM tenants WHERE tenant_id = 't'",
    "api_keys_pkey": "SELECT FROM api_keys WHERE key_id = 'k'",
    "api_keys_key_hash_key": "SELECT FROM api_keys WHERE key_hash = 'h' AND revoked_at IS NULL",
    "conversations_pkey": "SELECT FROM conversations WHERE conversation_id = 'c'",
    "conversations_by_tenant": "SELECT conversation_id FROM conversations WHERE tenant_id = 't' "
    "AND updated_at < now() ORDER BY updated_at LIMIT 5",
    "responses_pkey": "SELECT FROM responses WHERE response_id = 'r'",
    "responses_by_conversation": "SELECT FROM responses WHERE conversation_id = 'c'",
    "deleted_responses_pkey": "SELECT FROM deleted_responses WHERE response_id = 'r'",
    "deleted_responses_by_time": "SELECT FROM deleted_responses WHERE deleted_at < now() "
    "ORDER BY deleted_at LIMIT 5",
}
"""Each index, and the statement (or the condition in one) that it is there for."""

OTHERS = {"wanted_models_pkey", "wanted_models_version_key", "schema_migrations_pkey"}
"""Indexes of tables with few rows, which only keep a rule."""


async def test_every_index_serves_a_query(owner: Owner) -> None:
    found = await left(owner, "pg_indexes WHERE schemaname = 'public'", "indexname")
    assert found == SERVES.keys() | OTHERS
    await owner.execute("SET enable_seqscan = off")
    for index, statement in SERVES.items():
        cursor = await owner.execute(f"EXPLAIN {statement}".encode())
        plan = "\n".join(str(row[0]) for row in await cursor.fetchall())
        assert index in plan, plan
