"""Today's code and that of the version before read each other's formats."""

import asyncio
import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from axon.adapters.postgres import migrations
from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.stores import (
    PostgresApiKeyStore,
    PostgresDesiredModels,
    PostgresHistoryStore,
    PostgresTurnStore,
)
from axon.adapters.valkey.caches import ValkeyPrincipalCache, ValkeyTurnCache
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyModelDirectory, ValkeyRelayDirectory
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.workers import HandedOver, ValkeyWorkerDirectory
from axon.conversations import Turn
from axon.deadlines import Deadlines
from axon.directory.workers import ModelState, ModelStatus, WorkerState
from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import JournalRecord, LoggedEvent, Status
from axon.event_log.openings import OpenResult, Resumption
from axon.event_log.publication import Kind, Publication
from axon.formats import VERSIONS
from axon.history import HistoryRecord
from axon.jobs import Job, ReceivedJob
from axon.models.desired import DesiredModel
from axon.protocol.requests import CreateResponse, parse_event
from axon.responses.fingerprint import fingerprint
from axon.tenants.api_keys import ApiKey
from axon.tenants.principal import Principal
from cli.dlq.message import dead_letter
from tests.contract.axon import format_samples as samples
from tests.contract.axon import format_shapes
from tests.support.repository import ROOT

BEFORE = json.loads(Path(__file__).with_name("formats_324e65d.json").read_text())
"""Samples that commit 324e65d wrote, by `format_samples`, and the SQL with which it works."""

WRITTEN: dict[str, Any] = BEFORE["samples"]
EARLIER = [str(path) for path in ROOT.glob(f".beside/{BEFORE['commit']}*/.venv/bin/python")]
"""Interpreters of the version before; `make chaos ARGS="--beside COMMIT"` prepares its tree."""

RUNNING, ENDED = samples.RESPONSE_ID, samples.ENDED_ID
DUE_MS = 2**50


@pytest.fixture
async def loaded(valkey: Valkey) -> Valkey:
    """A Valkey with all keys as the version before has left them; no lease has ended."""
    await samples.load_keys(valkey, WRITTEN["keys"], due_ms=DUE_MS)
    return valkey


@pytest.fixture
def log(loaded: Valkey) -> ValkeyEventLog:
    return ValkeyEventLog(valkey=loaded, deadlines=Deadlines(), retention_s=300, resume_window_s=60)


class TestFormatsOfTheVersionBefore:
    def test_messages_are_read(self) -> None:
        assert Job.decode(WRITTEN["job"]) == samples.a_job()
        received = ReceivedJob.decode(WRITTEN["received_job"].encode())
        assert Job.decode(received.body) == samples.a_job()
        assert (received.receipt_handle, received.receive_count) == ("receipt", 2)
        assert HistoryRecord.decode(WRITTEN["history_record"]) == samples.a_record()
        assert Turn.decode(WRITTEN["turn"].encode()) == Turn.of(
            samples.a_job(), output=samples.OUTPUT
        )
        assert Job.decode(WRITTEN["sqs_job"]["MessageBody"]) == samples.a_job()
        (entry,) = WRITTEN["sqs_history"]["Entries"]
        assert HistoryRecord.decode(entry["MessageBody"]) == samples.a_record()

    def test_dead_letters_are_read(self) -> None:
        parked = WRITTEN["sqs_parked"]
        received: Any = {
            "MessageId": "another",
            "ReceiptHandle": "receipt",
            "Body": parked["MessageBody"],
            "MessageAttributes": parked["MessageAttributes"],
        }
        letter = dead_letter(received, queue="jobs")
        assert (letter.message_id, letter.receive_count) == ("message-1", 3)
        assert (letter.response_id, letter.reason) == (RUNNING, "failed repeatedly")

    def test_publications_are_read(self) -> None:
        *published, handed_over = [text.encode() for text in WRITTEN["published"]]
        found = [Publication.decode(payload) for payload in published]
        assert {p.kind for p in found} >= {Kind.EVENTS, Kind.LAST_EVENTS, Kind.RESUMED}
        assert [p.granted for p in found].count(True) == 2
        assert found[2].events == [b'{"delta":"hello"}', b'{"n":3}']
        assert Job.decode(HandedOver.decode(handed_over).received.body) == samples.a_job()

    async def test_directories_and_caches_are_read(self, loaded: Valkey) -> None:
        assert await ValkeyWorkerDirectory(valkey=loaded).list() == [
            WorkerState(
                worker_id=samples.PEER,
                slots=8,
                load=3,
                models=tuple(ModelStatus(f"model-{s}", s, 3, "why") for s in ModelState),
            )
        ]
        principals = ValkeyPrincipalCache(valkey=loaded, ttl_s=60)
        assert (await principals.get("key-hash")).principal == samples.PRINCIPAL
        assert await ValkeyModelDirectory(valkey=loaded).list() == [samples.MODEL]
        turns = ValkeyTurnCache(valkey=loaded, ttl_s=60)
        assert [turn.output for turn in await turns.chain(RUNNING)] == [samples.OUTPUT]
        ((unstored),) = await turns.chain(ENDED)
        assert unstored.connection_id == samples.CONNECTION

    async def test_log_is_read(self, log: ValkeyEventLog) -> None:
        meta = await log.describe(RUNNING)
        assert meta is not None
        assert (meta.status, meta.epoch, meta.next_sequence) == (Status.IN_PROGRESS, 1, 4)
        assert meta.checkpoint == DeliveryCheckpoint(2, TailState.IN_DOUBT)
        assert Job.decode(meta.job) == samples.a_job()
        assert await log.read(RUNNING, after=1) == [
            LoggedEvent(2, b'{"delta":"hello"}', (7, 8)),
            LoggedEvent(3, b'{"n":3}'),
        ]
        record = JournalRecord(number=0, after=1, kind="search", data=b"found")
        assert await log.read_journal(RUNNING) == [record]
        assert await log.running_for(samples.CONNECTION) == {RUNNING}
        repeated = await log.repeated(
            f"digest-{Status.COMPLETED}", fingerprint="", connection_id="", lane="*"
        )
        assert repeated is not None
        assert (repeated.outcome, repeated.first_id) == (OpenResult.REPEATED, ENDED)

    async def test_log_is_continued(self, log: ValkeyEventLog) -> None:
        claim = await log.claim(RUNNING, message_id="message-2")
        assert (claim.epoch, claim.next_sequence, claim.next_record) == (2, 4, 1)
        await log.append(
            RUNNING,
            epoch=claim.epoch,
            events=[LoggedEvent(4, b'{"n":4}')],
            journal=[JournalRecord(number=1, after=3, kind="search", data=b"more")],
        )
        await log.append(
            RUNNING,
            epoch=claim.epoch,
            events=[LoggedEvent(5, b'{"n":5}')],
            status=Status.COMPLETED,
        )
        meta = await log.describe(RUNNING)
        assert meta is not None
        assert (meta.status, meta.next_sequence) == (Status.COMPLETED, 6)

    async def test_log_is_delivered(self, log: ValkeyEventLog, loaded: Valkey) -> None:
        await log.checkpoint(
            RUNNING,
            DeliveryCheckpoint(4),
            relay_id=samples.RELAY,
            connection_id=samples.CONNECTION,
        )
        relays = ValkeyRelayDirectory(valkey=loaded)
        await relays.end_lease(samples.RELAY)
        taken_over = await relays.take_over(samples.RELAY, successor_id="relay-1")
        assert {each.response_id: each.checkpoint for each in taken_over} == {
            RUNNING: DeliveryCheckpoint(4),
            ENDED: DeliveryCheckpoint(2),
        }
        await relays.heartbeat("relay-1", lease_s=60)
        resumed = await log.resume(
            ENDED, tenant_id=samples.PRINCIPAL.tenant_id, connection_id="c2", first=1
        )
        assert resumed is Resumption.RESUMED


class TestCheckpointsAfterAFailover:
    """A relay of the version before writes no generation, and leaves the one that it finds."""

    @pytest.mark.parametrize(
        ("call", "certain"), [("1796002752475993", True), ("7", False)], ids=["before", "today"]
    )
    async def test_count_as_current_only_if_the_version_before_wrote_them(
        self, log: ValkeyEventLog, loaded: Valkey, call: str, certain: bool
    ) -> None:
        fields = {
            "generation": "former",
            "checkpoint": "4",
            "checkpoint_generation": "former",
            "checkpoint_us": call,
        }
        await loaded.call("HSET", f"axon:response:{RUNNING}", *sum(fields.items(), ()))
        meta = await log.describe(RUNNING)
        assert meta is not None
        assert meta.checkpoint.certain is certain
        assert (await log.claim(RUNNING, message_id="message-2")).unsure is not certain
        relays = ValkeyRelayDirectory(valkey=loaded)
        await relays.end_lease(samples.RELAY)
        taken_over = await relays.take_over(samples.RELAY, successor_id="relay-1")
        (one,) = (each for each in taken_over if each.response_id == RUNNING)
        assert one.checkpoint.certain is certain


class TestFingerprintsOfTheVersionBefore:
    @pytest.mark.parametrize("each", BEFORE["fingerprints"])
    def test_are_those_of_today(self, each: dict[str, Any]) -> None:
        """A client may send its request again to a function of the other version."""
        request = parse_event(each["request"])
        assert isinstance(request, CreateResponse)
        assert fingerprint(request) == each["fingerprint"]

    def test_change_with_a_later_field_only_if_the_client_sets_it(self) -> None:
        class Later(CreateResponse):
            added: int = 1

        each = BEFORE["fingerprints"][0]
        assert fingerprint(Later.model_validate(each["request"])) == each["fingerprint"]
        using = Later.model_validate(each["request"] | {"added": 1})
        assert fingerprint(using) != each["fingerprint"]


class TestSchemaOfTheVersionBefore:
    def test_migrations_that_were_released_stay_as_they_are(self) -> None:
        today = {name: sha256(sql).hexdigest() for name, sql in migrations._migrations()}
        assert {name: today.get(name) for name in BEFORE["migrations"]} == BEFORE["migrations"]

    async def test_statements_of_the_version_before_run_on_todays_schema(
        self, app_dsn: str, pool: Pool
    ) -> None:
        """Its functions and workers run on after a deployment has migrated the schema."""
        run = BEFORE["statements"]
        key = {
            "key_id": "key_1",
            "tenant_id": "tenant-1",
            "name": "mine",
            "hint": "abcd",
            "key_hash": "hash",
            "scopes": ["responses:write"],
        }
        with psycopg.connect(app_dsn, autocommit=True, row_factory=dict_row) as before:
            before.execute(run["add_key"], key)
            before.execute(run["write_conversation"], _row())
            before.execute(run["write_response"], _row())
            before.execute(run["put_model"], {"name": "echo", "settings": Jsonb({"slots": 2})})
            (found,) = before.execute(run["find_key"], {"key_hash": "hash"}).fetchall()
            assert found["scopes"] == ["responses:write"]
            assert len(before.execute(run["list_keys"]).fetchall()) == 1
            assert len(before.execute(run["list_models"]).fetchall()) == 1
            (turn,) = before.execute(run["chain"], {"response_id": RUNNING}).fetchall()
            assert turn["output"] == samples.OUTPUT
        # And this version reads what that one wrote, and writes over it.
        (read,) = await PostgresTurnStore(pool=pool).chain(RUNNING)
        assert read == Turn.of(samples.a_job(), output=samples.OUTPUT)
        assert await PostgresApiKeyStore(pool=pool).find("hash") == samples.PRINCIPAL
        (model,) = await PostgresDesiredModels(pool=pool).list()
        assert (model.name, model.settings) == ("echo", {"slots": 2})
        await PostgresHistoryStore(pool=pool).write([samples.a_record()])

    async def test_rows_of_this_version_are_read_by_statements_of_the_version_before(
        self, app_dsn: str, pool: Pool
    ) -> None:
        """After a rollback the code is the version before, and the rows are of this one."""
        await PostgresHistoryStore(pool=pool).write([samples.a_record()])
        added = ApiKey(
            key_id="key_1",
            tenant_id="tenant-1",
            name="n",
            hint="h",
            scopes=samples.PRINCIPAL.scopes,
        )
        await PostgresApiKeyStore(pool=pool).add(added, key_hash="hash")
        await PostgresDesiredModels(pool=pool).put("echo", {"slots": 2})
        run = BEFORE["statements"]
        with psycopg.connect(app_dsn, autocommit=True, row_factory=dict_row) as before:
            (turn,) = before.execute(run["chain"], {"response_id": RUNNING}).fetchall()
            assert Turn(**turn) == Turn.of(samples.a_job(), output=samples.OUTPUT)
            (key,) = before.execute(run["find_key"], {"key_hash": "hash"}).fetchall()
            assert Principal(**key | {"scopes": frozenset(key["scopes"])}) == samples.PRINCIPAL
            (model,) = before.execute(run["list_models"]).fetchall()
            assert DesiredModel(**model).settings == {"slots": 2}
            before.execute(run["write_conversation"], _row())
            before.execute(run["write_response"], _row())


class TestFormatsOfToday:
    async def test_shapes_are_those_that_were_recorded(self, valkey_url: str) -> None:
        """A changed shape is either an addition, which is recorded, or needs a higher version."""
        versions = {each.value: version for each, version in VERSIONS.items()}
        today = {
            "versions": versions,
            "shapes": format_shapes.shapes(await samples.write(valkey_url)),
        }
        if os.environ.get("AXON_RECORD_FORMATS"):
            format_shapes.RECORDED.write_text(json.dumps(today, indent=1, sort_keys=True) + "\n")
        assert today == json.loads(format_shapes.RECORDED.read_text()), (
            "A format has changed. New fields must be optional: then record them with "
            "AXON_RECORD_FORMATS=1. Anything else needs a higher version: docs/formats.md."
        )

    async def test_shapes_have_all_that_the_version_before_reads(self, valkey_url: str) -> None:
        before = format_shapes.shapes(WRITTEN)
        today = format_shapes.shapes(await samples.write(valkey_url))
        faults = [
            fault
            for name, shape in before.items()
            for fault in format_shapes.missing(shape, today.get(name), name)
        ]
        assert faults == []

    @pytest.mark.parametrize("python", [sys.executable, *EARLIER])
    async def test_samples_are_read_by(self, valkey_url: str, python: str) -> None:
        """Today's code reads its own; where its tree is prepared, the version before reads them."""
        written = await samples.write(valkey_url)
        reader = await asyncio.create_subprocess_exec(
            python,
            str(Path(__file__).with_name("format_reads.py")),
            valkey_url,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await reader.communicate(json.dumps(written).encode())
        assert reader.returncode == 0, errors.decode()

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            ({"added": 1}, []),
            ({"tenant_id": None}, [".tenant_id: text became nothing"]),
        ],
    )
    def test_shapes_tell_additions_from_changes(
        self, change: dict[str, Any], fault: list[str]
    ) -> None:
        job = json.loads(WRITTEN["job"])
        before, now = (
            format_shapes.shapes({"job": json.dumps(each), "keys": {}, "published": []})["job"]
            for each in (job, job | change)
        )
        assert format_shapes.missing(before, now) == fault
        del now["tenant_id"]
        assert ".tenant_id" in format_shapes.missing(before, now)


def _row() -> dict[str, Any]:
    """Return the parameters with which the version before writes its record."""
    record = json.loads(WRITTEN["history_record"])
    usage = record["response"]["usage"]
    return {
        **record,
        "model": record["response"]["model"],
        "status": record["response"]["status"],
        "created_at": "2023-11-14T22:13:20.123Z",
        "ended_at": "2023-11-14T22:13:21.023Z",
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "input": Jsonb(record["input"]),
        "response": Jsonb(record["response"]),
    }
