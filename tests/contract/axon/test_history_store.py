"""History: records arrive repeatedly, late and out of order, and the result is the same."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.retention import PostgresResponseRows
from axon.adapters.postgres.stores import PostgresHistoryStore
from axon.exceptions import UnavailableError
from axon.formats import UnreadableError
from axon.history import HistoryRecord, HistoryStore, version_of
from axon.responses.deletion import ResponseRows
from axon.testing.stores import FakeHistory, FakeResponseRows
from tests.contract.conftest import Kind
from tests.support.clients import postgres_pool


def record(
    number: int,
    *,
    version: int = 1,
    tokens: int = 1,
    conversation: str = "conv_0",
    status: str = "completed",
) -> HistoryRecord:
    usage = {"input_tokens": 10 * tokens, "output_tokens": tokens}
    return HistoryRecord(
        response_id=f"resp_{number}",
        previous_response_id=None,
        conversation_id=conversation,
        tenant_id="t",
        key_id="key_1",
        version=version,
        created_ms=1_700_000_000_000 + number,
        ended_ms=1_700_000_001_000 + number + version % 10,
        response={"model": "echo", "status": status, "output": [version], "usage": usage},
        input=[{"n": number}],
    )


@dataclass(frozen=True, kw_only=True)
class History:
    store: HistoryStore
    versions: Callable[[], Awaitable[dict[str, int]]]
    responses: ResponseRows


@pytest.fixture
def history(kind: Kind, request: pytest.FixtureRequest) -> History:
    if kind == "fake":
        return fake_history()
    pool: Pool = request.getfixturevalue("pool")
    return real_history(pool, request.getfixturevalue("postgres_dsn"))


def fake_history() -> History:
    fake = FakeHistory()

    async def versions() -> dict[str, int]:
        return {key: found.version for key, found in fake.records.items()}

    return History(store=fake, versions=versions, responses=FakeResponseRows(fake))


def real_history(pool: Pool, dsn: str) -> History:
    async def versions() -> dict[str, int]:
        return {row["response_id"]: row["version"] for row in rows(dsn, "responses")}

    return History(
        store=PostgresHistoryStore(pool=pool),
        versions=versions,
        responses=PostgresResponseRows(pool=pool),
    )


def rows(dsn: str, table: str) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


async def test_history_shows_a_response_to_its_tenant_alone(history: History) -> None:
    latest = record(1, version=2)
    await history.store.write([record(1), latest])
    stored = await history.responses.read("resp_1", tenant_id="t")
    assert stored is not None
    assert (stored.response, stored.input) == (latest.response, latest.input)
    assert await history.responses.read("resp_1", tenant_id="other") is None
    assert await history.responses.read("resp_2", tenant_id="t") is None
    assert await history.responses.delete("resp_1", tenant_id="t", accepted=False)
    assert await history.responses.read("resp_1", tenant_id="t") is None


async def test_history_store_accepts_no_records(history: History) -> None:
    await history.store.write([])
    assert await history.versions() == {}


async def test_history_store_ignores_repeated_and_older_records(history: History) -> None:
    await history.store.write([record(1, version=2)])
    await history.store.write([record(1, version=1), record(1, version=2)])
    assert await history.versions() == {"resp_1": 2}
    await history.store.write([record(1, version=3), record(2)])
    assert await history.versions() == {"resp_1": 3, "resp_2": 1}


async def test_history_store_takes_versions_in_any_order(history: History) -> None:
    await history.store.write([record(1, version=3), record(1, version=1), record(1, version=2)])
    assert await history.versions() == {"resp_1": 3}


async def test_history_store_ends_the_same_for_shuffled_records(history: History) -> None:
    randomness = random.Random(7)
    events = [record(n, version=v, tokens=n + v) for n in range(20) for v in (1, 2, 3)]
    events += randomness.sample(events, 30)
    randomness.shuffle(events)
    while events:
        size = randomness.randint(1, 10)
        await history.store.write(events[:size])
        del events[:size]
    assert await history.versions() == {f"resp_{number}": 3 for number in range(20)}


class TestPostgresHistoryStore:
    async def test_holds_the_record_in_a_row(self, pool: Pool, postgres_dsn: str) -> None:
        made = record(1, version=version_of(epoch=2**20, sequence_number=7), tokens=3)
        await PostgresHistoryStore(pool=pool).write([made])
        (row,) = rows(postgres_dsn, "responses")
        assert (row["tenant_id"], row["key_id"]) == ("t", "key_1")
        assert row["conversation_id"] == "conv_0"
        assert (row["model"], row["status"]) == ("echo", "completed")
        assert row["version"] == 2**52 + 7
        assert (row["input_tokens"], row["output_tokens"]) == (30, 3)
        assert row["input"] == [{"n": 1}]
        assert row["response"] == made.response
        assert row["created_at"].timestamp() * 1000 == pytest.approx(made.created_ms)
        assert row["ended_at"].timestamp() * 1000 == pytest.approx(made.ended_ms)

    async def test_stores_a_record_from_before_keys_were_recorded(
        self, pool: Pool, postgres_dsn: str
    ) -> None:
        old = HistoryRecord.model_validate(record(1).model_dump(exclude={"key_id"}))
        await PostgresHistoryStore(pool=pool).write([old])
        (row,) = rows(postgres_dsn, "responses")
        assert row["key_id"] is None

    async def test_counts_no_tokens_without_usage(self, pool: Pool, postgres_dsn: str) -> None:
        failed = record(1).model_copy(
            update={"response": {"model": "echo", "status": "failed", "usage": None}}
        )
        await PostgresHistoryStore(pool=pool).write([failed])
        (conversation,) = rows(postgres_dsn, "conversations")
        assert counters(conversation) == (1, 0, 0)

    async def test_moves_the_counters_by_what_changed(self, pool: Pool, postgres_dsn: str) -> None:
        store = PostgresHistoryStore(pool=pool)
        await store.write([record(1, version=2, tokens=5), record(2, tokens=1)])
        await store.write([record(1, version=1, tokens=100)])
        await store.write([record(1, version=3, tokens=2, status="cancelled")])
        (conversation,) = rows(postgres_dsn, "conversations")
        assert counters(conversation) == (2, 30, 3)
        assert rows(postgres_dsn, "responses")[0]["status"] == "cancelled"

    async def test_spans_a_conversation_over_its_responses(
        self, pool: Pool, postgres_dsn: str
    ) -> None:
        store = PostgresHistoryStore(pool=pool)
        await store.write([record(5)])
        await store.write([record(1), record(9)])
        (conversation,) = rows(postgres_dsn, "conversations")
        assert conversation["created_at"] == rows(postgres_dsn, "responses")[0]["created_at"]
        assert conversation["updated_at"] == rows(postgres_dsn, "responses")[2]["ended_at"]

    async def test_writes_nothing_of_a_batch_with_a_wrong_record(
        self, pool: Pool, postgres_dsn: str
    ) -> None:
        wrong = record(2).model_copy(update={"version": 2**70})
        with pytest.raises(UnreadableError, match="NumericValueOutOfRange"):
            await PostgresHistoryStore(pool=pool).write([record(1), wrong])
        assert rows(postgres_dsn, "responses") == rows(postgres_dsn, "conversations") == []

    @pytest.mark.parametrize(
        "wrong",
        [
            {"response_id": "resp_\0"},
            {"previous_response_id": "resp_\0"},
            {"response": {"model": 5, "status": "completed"}},
            {"response": {"model": "echo", "status": None}},
            {"response": {"model": "echo", "status": "failed", "usage": {"input_tokens": "1"}}},
        ],
    )
    async def test_refuses_a_record_whose_text_or_number_is_none(
        self, pool: Pool, postgres_dsn: str, wrong: dict[str, Any]
    ) -> None:
        with pytest.raises(UnreadableError):
            await PostgresHistoryStore(pool=pool).write([record(1).model_copy(update=wrong)])
        assert rows(postgres_dsn, "responses") == rows(postgres_dsn, "conversations") == []

    async def test_counts_exactly_with_two_writers(
        self, pool: Pool, app_dsn: str, postgres_dsn: str
    ) -> None:
        randomness = random.Random(11)
        events = [
            record(n, version=v, tokens=n * v, conversation=f"conv_{n % 3}")
            for n in range(30)
            for v in (1, 2, 3)
        ]
        async with postgres_pool(app_dsn) as other:
            stores = [PostgresHistoryStore(pool=pool), PostgresHistoryStore(pool=other)]
            shares = [randomness.sample(events, len(events)) for _ in stores]
            await asyncio.gather(*map(write_in_batches, stores, shares))
        for index, conversation in enumerate(rows(postgres_dsn, "conversations")):
            output = sum(3 * number for number in range(index, 30, 3))
            assert counters(conversation) == (10, 10 * output, output)

    async def test_is_unavailable_without_the_database(self) -> None:
        async with postgres_pool("postgresql://127.0.0.1:1/none") as pool:
            pool.timeout = 0.2
            with pytest.raises(UnavailableError, match="PostgreSQL"):
                await PostgresHistoryStore(pool=pool).write([record(1)])

    @settings(
        max_examples=15,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        events=st.lists(
            st.builds(
                record,
                st.integers(0, 3),
                version=st.integers(1, 3),
                conversation=st.just("conv_h"),
            ),
            min_size=1,
            max_size=12,
        ),
        size=st.integers(1, 12),
    )
    async def test_counts_each_response_once_in_any_history(
        self, pool: Pool, postgres_dsn: str, events: list[HistoryRecord], size: int
    ) -> None:
        with psycopg.connect(postgres_dsn) as connection:
            connection.execute("TRUNCATE responses, conversations")
        weighted = [weigh(event) for event in events]
        store = PostgresHistoryStore(pool=pool)
        for start in range(0, len(weighted), size):
            await store.write(weighted[start : start + size])
        latest = {e.response_id: e for e in sorted(weighted, key=lambda e: e.version)}
        (conversation,) = rows(postgres_dsn, "conversations")
        output = sum(event.response["usage"]["output_tokens"] for event in latest.values())
        assert counters(conversation) == (len(latest), 10 * output, output)


def weigh(event: HistoryRecord) -> HistoryRecord:
    """Tokens by version, as every copy of one record has the same."""
    number = int(event.response_id.removeprefix("resp_"))
    return record(
        number,
        version=event.version,
        tokens=100 * number + event.version,
        conversation=event.conversation_id,
    )


async def write_in_batches(store: HistoryStore, events: Sequence[HistoryRecord]) -> None:
    for start in range(0, len(events), 5):
        await store.write(events[start : start + 5])


def counters(conversation: dict[str, Any]) -> tuple[int, int, int]:
    return (
        conversation["responses"],
        conversation["input_tokens"],
        conversation["output_tokens"],
    )


async def test_history_takes_an_input_as_json_and_knows_its_response(history: History) -> None:
    assert not await history.store.knows("resp_1")
    large = record(1).model_copy(update={"input": []})
    content = b'[{"text":"a\\u0000b \\ud83c\\udf0d"}]'
    await history.store.write([large, record(2)], inputs={"resp_1": content})
    assert await history.store.knows("resp_1")
    # A later record changes the row, but not its input.
    later = large.model_copy(update={"version": 2})
    await history.store.write([later], inputs={"resp_1": b"[]"})
    stored = await history.responses.read("resp_1", tenant_id="t")
    assert stored is not None
    assert stored.response["output"] == [1]
    assert stored.input[0]["text"].startswith("a")
    assert stored.input[0]["text"].endswith("b \N{EARTH GLOBE EUROPE-AFRICA}")
