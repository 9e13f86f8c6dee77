import asyncio
import time
from contextlib import suppress
from dataclasses import replace

import pytest
import redis
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as ValkeyTimeoutError

from axon.adapters.valkey import generation
from axon.adapters.valkey.client import Script, Valkey
from axon.adapters.valkey.connection import CommandConnection
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.generation import Generations
from axon.deadlines import Deadlines
from axon.directory.connections import CONNECTION_LIFE_S
from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import LoggedEvent, LostResponse, Status
from axon.event_log.openings import NewResponse, OpenResult
from axon.exceptions import UnavailableError
from tests.support.clients import valkey_client
from tests.support.principals import a_principal

NEW = NewResponse(
    response_id="resp_1",
    tenant_id="t",
    connection_id="c1",
    model="echo",
    job=b"job",
    created=b"{}",
)


async def test_valkey_answers_each_of_a_thousand_calls_at_once(valkey: Valkey) -> None:
    answers = await asyncio.gather(*(valkey.call("ECHO", number) for number in range(1000)))
    assert answers == [str(number).encode() for number in range(1000)]


async def test_valkey_fails_a_refused_command_alone(valkey: Valkey) -> None:
    await valkey.call("SET", "text", "x")
    outcomes = await asyncio.gather(
        valkey.call("GET", "text"),
        valkey.call("INCR", "text"),
        valkey.call("GET", "text"),
        return_exceptions=True,
    )
    assert outcomes[0] == outcomes[2] == b"x"
    assert isinstance(outcomes[1], ResponseError)


async def test_valkey_replaces_a_broken_connection(valkey: Valkey, valkey_url: str) -> None:
    own = await valkey.call("CLIENT", "ID")
    await valkey.call("SET", "text", "x")
    async with valkey_client(valkey_url) as killer:
        await killer.call("CLIENT", "KILL", "ID", own)
    answers = await asyncio.gather(*(valkey.call("GET", "text") for _ in range(10)))
    assert answers == [b"x"] * 10
    assert await valkey.call("CLIENT", "ID") != own


async def test_valkey_raises_unavailable_without_a_server() -> None:
    async with valkey_client("redis://127.0.0.1:1/0") as valkey:
        with pytest.raises(UnavailableError, match="Valkey"):
            await valkey.call("PING")


async def test_valkey_gives_a_late_answer_to_no_other_call(valkey_url: str) -> None:
    async with valkey_client(valkey_url) as admin:
        client = Redis.from_url(valkey_url)
        connection = CommandConnection(client, generations=Generations(), timeout_s=0.2)
        assert await connection.exchange([("ECHO", "first")]) == [b"first"]
        await admin.call("CLIENT", "PAUSE", 400, "ALL")
        with pytest.raises(ValkeyTimeoutError):
            await connection.exchange([("ECHO", "late")])
        while True:
            with suppress(ValkeyTimeoutError):
                assert await connection.exchange([("ECHO", "next")]) == [b"next"]
                break
        await connection.close()
        await client.aclose()


async def test_valkey_reads_the_servers_clock(valkey: Valkey) -> None:
    assert await valkey.now_ms() == pytest.approx(time.time() * 1000, abs=1000)


async def test_script_is_sent_again_to_a_server_that_lost_it(valkey: Valkey) -> None:
    delivered = Script(valkey, "delivered")
    keys = ["axon:relay:r1:responses", "axon:response:resp_1"]
    for _ in range(2):
        await valkey.call("SCRIPT", "FLUSH")
        assert await delivered(keys=keys, args=["resp_1", ""]) is None
    assert await delivered(keys=keys, args=["resp_1", ""]) is None


class TestValkeyEventLog:
    async def opened(self, valkey: Valkey) -> ValkeyEventLog:
        log = ValkeyEventLog(
            valkey=valkey, deadlines=Deadlines(), retention_s=300, resume_window_s=60
        )
        await ValkeyModelDirectory(valkey=valkey).register(("echo",), retention_s=600)
        await ValkeyRelayDirectory(valkey=valkey).heartbeat("r1", lease_s=600)
        await ValkeyConnectionDirectory(valkey=valkey).register("c1", principal=a_principal())
        assert (await log.open(NEW)).outcome is OpenResult.OPENED
        return log

    async def lives(self, valkey: Valkey) -> list[int]:
        keys = ["axon:response:resp_1", "axon:response:resp_1:events"]
        return [await valkey.call("TTL", key) for key in keys]

    async def test_sets_an_expiry_on_the_keys_of_a_response(self, valkey: Valkey) -> None:
        log = await self.opened(valkey)
        open_s = Deadlines().keep_open_s + 300
        assert all(open_s - 300 < life <= open_s for life in await self.lives(valkey))
        running_s = await valkey.call("TTL", "axon:connection:c1:responses")
        assert open_s - 300 < running_s <= CONNECTION_LIFE_S
        assert 7200 < await valkey.call("TTL", "axon:connection:c1") <= 7500
        claim = await log.claim("resp_1", in_progress=b"{}", message_id="m")
        assert all(open_s - 300 < life <= open_s for life in await self.lives(valkey))
        await log.append(
            "resp_1", epoch=claim.epoch, events=[LoggedEvent(2, b"{}")], status=Status.COMPLETED
        )
        # Its job may come again until the deadline.
        response, events = await self.lives(valkey)
        assert 300 < response <= 600
        assert 0 < events <= 300
        assert await valkey.call("ZCARD", "axon:deadlines") == 0
        assert await valkey.call("EXISTS", "axon:connection:c1:responses") == 0

    async def test_counts_a_log_that_is_restored_in_part_as_incomplete(
        self, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The holder dies between two pieces: who claims the log must not continue from a part."""
        log = await self.opened(valkey)
        await valkey.call("DEL", "axon:response:resp_1", "axon:response:resp_1:events")
        lost = LostResponse(
            response_id="resp_1",
            tenant_id="t",
            connection_id="c1",
            job=b"job",
            age_ms=0,
            epoch=1,
            nonce="mine",
            events=[LoggedEvent(number, b"{}") for number in range(600)],
            status=Status.IN_PROGRESS,
        )

        async def die(*_: object, **__: object) -> None:
            raise UnavailableError("dead")

        with monkeypatch.context() as dead:
            dead.setattr(log, "append", die)
            with pytest.raises(UnavailableError):
                await log.restore(lost)
        meta = await log.describe("resp_1")
        assert meta is not None
        assert meta.incomplete
        assert 0 < meta.next_sequence < 600
        # A holder that lives completes it, though it exists.
        await log.restore(lost)
        assert len(await log.read("resp_1")) == 600
        assert not (await log.claim("resp_1")).unsure
        await log.restore(lost)  # fenced by now: nothing changes
        with monkeypatch.context() as dead:
            dead.setattr(log, "append", die)
            await valkey.call("DEL", "axon:response:resp_1", "axon:response:resp_1:events")
            with pytest.raises(UnavailableError):
                await log.restore(lost)
        assert (await log.claim("resp_1")).unsure

    async def everlasting(self, valkey: Valkey) -> set[str]:
        keys = [key.decode() for key in await valkey.call("KEYS", "*")]
        return {key for key in keys if await valkey.call("TTL", key) == -1}

    async def test_leaves_only_indexes_and_relays_sets_without_an_expiry(
        self, valkey: Valkey
    ) -> None:
        log = await self.opened(valkey)
        await log.open(replace(NEW, response_id="resp_2", idempotency="k", fingerprint="f"))
        await log.claim("resp_2")
        await log.checkpoint("resp_2", DeliveryCheckpoint(1), relay_id="r1", connection_id="c1")
        await log.resume("resp_2", tenant_id="t", connection_id="c2", first=1)
        await log.abandon("c1")
        lost = LostResponse(
            response_id="resp_3",
            tenant_id="t",
            connection_id="c3",
            job=b"job",
            age_ms=0,
            epoch=1,
            events=[LoggedEvent(0, b"{}")],
            status=Status.IN_PROGRESS,
        )
        await log.restore(lost)
        assert await self.everlasting(valkey) == {
            "axon:abandoned",
            "axon:deadlines",
            "axon:models",
            "axon:models:last-seen",
            "axon:models:served-since",
            "axon:relays",
            "axon:relay:r1:responses",
        }
        key_s = await valkey.call("TTL", "axon:idempotency:k")
        assert Deadlines().keep_open_s < key_s <= Deadlines().keep_open_s + 300

    async def test_leaves_no_key_of_an_ended_response_without_an_expiry(
        self, valkey: Valkey
    ) -> None:
        log = await self.opened(valkey)
        await log.abandon("c1")
        claim = await log.claim("resp_1", in_progress=b"{}")
        await log.append(
            "resp_1", epoch=claim.epoch, events=[LoggedEvent(2, b"{}")], status=Status.COMPLETED
        )
        relays = ValkeyRelayDirectory(valkey=valkey)
        await relays.delivered("r1", "resp_1")
        await relays.end_lease("r1")
        assert await relays.take_over("r1", successor_id="r2") == []
        assert await self.everlasting(valkey) == {
            "axon:models",
            "axon:models:last-seen",
            "axon:models:served-since",
        }

    async def test_ignores_a_late_repetition_of_a_checkpoint(
        self, valkey: Valkey, valkey_url: str
    ) -> None:
        log = await self.opened(valkey)
        late: list[tuple[object, ...]] = []

        class Recording(Valkey):
            async def call(self, *command: object) -> object:
                late.append(command)
                return await super().call(*command)

        async with valkey_client(valkey_url, make=Recording) as recorded:
            slow = ValkeyEventLog(
                valkey=recorded, deadlines=Deadlines(), retention_s=300, resume_window_s=60
            )
            await slow.checkpoint(
                "resp_1", DeliveryCheckpoint(0), relay_id="r1", connection_id="c1"
            )
        await log.checkpoint(
            "resp_1", DeliveryCheckpoint(0, TailState.IN_DOUBT), relay_id="r1", connection_id="c1"
        )
        await valkey.call(*late[-1])
        meta = await log.describe("resp_1")
        assert meta is not None
        assert meta.checkpoint == DeliveryCheckpoint(0, TailState.IN_DOUBT)

    async def test_expires_the_tombstone_of_a_connection(self, valkey: Valkey) -> None:
        await self.opened(valkey)
        await ValkeyConnectionDirectory(valkey=valkey).remove("c1")
        assert 29 < await valkey.call("TTL", "axon:connection:c1") <= 120

    async def test_sets_the_expiry_of_a_forgotten_connection_again(self, valkey: Valkey) -> None:
        log = await self.opened(valkey)
        await valkey.call("DEL", "axon:connection:c1")
        assert (await log.open(replace(NEW, response_id="resp_2"))).outcome is OpenResult.OPENED
        assert await valkey.call("TTL", "axon:connection:c1") > 7200

    async def test_works_after_a_flush_of_data_and_scripts(self, valkey: Valkey) -> None:
        log = await self.opened(valkey)
        await valkey.call("FLUSHALL")
        await valkey.call("SCRIPT", "FLUSH")
        assert await log.describe("resp_1") is None
        assert (await log.open(NEW)).outcome is OpenResult.NO_MODEL

    async def test_keeps_concurrent_responses_apart(self, valkey: Valkey) -> None:
        log = await self.opened(valkey)

        async def answer(number: int) -> None:
            response_id = f"resp_many_{number}"
            await log.open(replace(NEW, response_id=response_id))
            claim = await log.claim(response_id, in_progress=b"{}")
            for index in range(2, 12):
                data = b"%d:%d" % (number, index)
                await log.append(
                    response_id, epoch=claim.epoch, events=[LoggedEvent(index, data, (number,))]
                )

        await asyncio.gather(*(answer(number) for number in range(50)))
        for number in range(50):
            events = await log.read(f"resp_many_{number}", after=1)
            assert [event.data for event in events] == [
                b"%d:%d" % (number, i) for i in range(2, 12)
            ]
            assert {event.token_ids for event in events} == {(number,)}


async def test_client_reads_the_generation_again_on_a_connection_that_stays(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server takes another id while connections stay, when its first replica is attached."""
    monkeypatch.setattr(generation, "READ_AGAIN_S", 0.05)
    async with valkey_client(valkey_url) as client:
        number = await client.call("CLIENT", "ID")
        before = client.generation
        with redis.Redis.from_url(valkey_url) as admin:
            admin.execute_command("REPLICAOF", "127.0.0.1", "1")
            admin.execute_command("REPLICAOF", "NO", "ONE")

        async with asyncio.timeout(20):
            while client.generation in ("", before):
                assert await client.call("CLIENT", "ID") == number
        # All connections of the server come to the same id.
        async with valkey_client(valkey_url) as later:
            await later.call("PING")
            assert later.generation == client.generation
