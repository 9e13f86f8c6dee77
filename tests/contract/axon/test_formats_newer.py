"""Data of a newer version in Valkey, as after a rollback, is set aside, and stops nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from axon.adapters.valkey.caches import ValkeyTurnCache
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.due_index import ValkeyDueIndex
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.workers import ValkeyWorkerDirectory
from axon.conversations import Conversations, Turn
from axon.deadlines import Deadlines
from axon.directory.workers import ModelState, ModelStatus, WorkerState
from axon.event_log.openings import Resumption
from axon.formats import VERSIONS, Format, UnreadableError, UnreadableLogError
from axon.responses.finisher import ResponseFinisher
from axon.responses.sweeper import ResponseSweeper
from axon.responses.terminator import ResponseTerminator
from axon.testing.stores import FakeHistory, FakePendingHistory, FakeTurns
from tests.contract.axon import format_samples as samples

WRITTEN: dict[str, Any] = json.loads(Path(__file__).with_name("formats_324e65d.json").read_text())[
    "samples"
]
RUNNING, ENDED = samples.RESPONSE_ID, samples.ENDED_ID


@pytest.fixture
async def loaded(valkey: Valkey) -> Valkey:
    await samples.load_keys(valkey, WRITTEN["keys"], due_ms=2**50)
    return valkey


@pytest.fixture
def log(loaded: Valkey) -> ValkeyEventLog:
    return ValkeyEventLog(valkey=loaded, deadlines=Deadlines(), retention_s=300, resume_window_s=60)


class TestLogOfANewerVersion:
    @pytest.fixture
    async def newer(self, log: ValkeyEventLog, loaded: Valkey) -> ValkeyEventLog:
        for response_id in (RUNNING, ENDED):
            await loaded.call("HSET", f"axon:response:{response_id}", "format", 2)
        return log

    async def test_is_refused_with_those_whom_it_belongs_to(self, newer: ValkeyEventLog) -> None:
        with pytest.raises(UnreadableLogError, match=RUNNING) as caught:
            await newer.describe(RUNNING)
        assert caught.value.connection_id == samples.CONNECTION
        assert caught.value.relay_id == samples.RELAY

    async def test_cannot_be_claimed(self, newer: ValkeyEventLog, loaded: Valkey) -> None:
        with pytest.raises(UnreadableLogError):
            await newer.claim(RUNNING, message_id="message-2")
        assert await loaded.call("HGET", f"axon:response:{RUNNING}", "epoch") == b"1"

    async def test_is_resumed_where_the_newer_version_answers(self, newer: ValkeyEventLog) -> None:
        resumed = await newer.resume(
            ENDED, tenant_id=samples.PRINCIPAL.tenant_id, connection_id="c2", first=1
        )
        assert resumed is Resumption.NO_RELAY  # the client asks again

    async def test_stops_no_terminator(
        self, newer: ValkeyEventLog, loaded: Valkey, caplog: pytest.LogCaptureFixture
    ) -> None:
        finisher = ResponseFinisher(history=FakeHistory(), turns=FakeTurns())
        terminator = ResponseTerminator(event_log=newer, finisher=finisher)
        index = ValkeyDueIndex(valkey=loaded, deadlines=Deadlines(), retention_s=300)
        await loaded.call("ZADD", "axon:abandoned", 1, RUNNING)
        await ResponseSweeper(index=index, terminator=terminator).end_abandoned()
        assert f"that of {RUNNING} is newer" in caplog.text
        assert "Traceback" not in caplog.text

    async def test_carries_the_version_that_scripts_compare(
        self, valkey_url: str, valkey: Valkey
    ) -> None:
        await samples.write(valkey_url)
        written = await valkey.call("HGET", f"axon:response:{RUNNING}", "format")
        assert int(written) == VERSIONS[Format.EVENT_LOG]


class TestRegistrationOfANewerVersion:
    @pytest.mark.parametrize(
        ("field", "value", "newer"),
        [("format", "2", True), ("models", '[{"name":"m","state":"warming"}]', False)],
    )
    async def test_is_left_out_of_the_peers(
        self, loaded: Valkey, field: str, value: str, newer: bool
    ) -> None:
        refused: list[UnreadableError] = []
        directory = ValkeyWorkerDirectory(valkey=loaded, refused=refused.append)
        models = (ModelStatus("echo", ModelState.SERVING),)
        readable = WorkerState(worker_id="worker-2", slots=1, load=0, models=models)
        await directory.register(readable)
        await loaded.call("HSET", f"axon:worker:{samples.PEER}", field, value)
        assert await directory.list() == [readable]
        assert [(e.format, e.newer) for e in refused] == [(Format.REGISTRATION, newer)]


class TestTurnOfANewerVersion:
    async def test_is_read_from_the_database(self, loaded: Valkey) -> None:
        refused: list[UnreadableError] = []
        cache = ValkeyTurnCache(valkey=loaded, ttl_s=60, refused=refused.append)
        newer = json.dumps(json.loads(WRITTEN["turn"]) | {"format": VERSIONS[Format.TURN] + 1})
        await loaded.call("HSET", f"axon:turn:{RUNNING}", "turn", newer)
        assert await cache.chain(RUNNING) == []
        database = FakeTurns()
        stored = Turn.of(samples.a_job(), output=samples.OUTPUT)
        await database.put([stored])
        conversations = Conversations(cache=cache, database=database, pending=FakePendingHistory())
        tenant = {"tenant_id": stored.tenant_id, "connection_id": "c2"}
        assert await conversations.chain(RUNNING, **tenant) == [stored]
        assert [each.newer for each in refused] == [True, True]
        # The cache has it in a format that can be read now.
        assert await cache.chain(RUNNING) == [stored]

    async def test_ends_the_chain_before_it(self, loaded: Valkey) -> None:
        cache = ValkeyTurnCache(valkey=loaded, ttl_s=60, refused=lambda _: None)
        job = samples.a_job("resp_0190a1b2c3d47e5f8a9b0c1d2e3f4053")
        turn = Turn.of(job, output=[]).model_copy(update={"previous_response_id": RUNNING})
        await cache.put([turn])
        await loaded.call("HSET", f"axon:turn:{RUNNING}", "turn", '{"format":99}')
        assert await cache.chain(turn.response_id) == [turn]
