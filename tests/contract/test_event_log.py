import asyncio
from dataclasses import replace

import pytest

from axon.directory.relays import LATE_RELAY_S
from axon.event_log.log import Claim, LoggedEvent, OpenResult, Status
from axon.exceptions import AxonError, FencedError, MissingResponseError
from tests.contract.conftest import Bench, MakeBench
from tests.contract.event_log_samples import (
    IN_PROGRESS,
    NEW,
    end,
    events,
    numbers,
    open_and_claim,
    payload,
    prepare,
)
from tests.support.principals import a_principal


class TestOpen:
    async def test_event_0_is_logged_and_published(self, bench: Bench) -> None:
        assert (await bench.log.open(NEW)).outcome is OpenResult.OPENED
        assert await bench.log.read("resp_1") == [LoggedEvent(0, b'{"n":0}')]
        assert bench.published() == [("r1", payload("resp_1", 0, "-!", [b'{"n":0}']))]

    async def test_it_is_described(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        meta = await bench.log.describe("resp_1")
        assert meta is not None
        assert meta.response_id == "resp_1"
        assert meta.tenant_id == "t"
        assert meta.key_id == "key_1"
        assert meta.connection_id == "c1"
        assert meta.relay_id == "r1"
        assert meta.status is Status.QUEUED
        assert (meta.epoch, meta.next_sequence) == (0, 1)
        assert meta.job == b'{"job":1}'

    async def test_its_relay_has_it_to_deliver(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        assert await bench.relays.undelivered("r1") == {"resp_1"}

    async def test_again_changes_nothing(self, bench: Bench) -> None:
        claim = await open_and_claim(bench.log)
        bench.published()
        again = replace(NEW, created=b'{"other":0}', job=b"other")
        assert (await bench.log.open(again)).outcome is OpenResult.OPENED
        assert bench.published() == []
        meta = await bench.log.describe("resp_1")
        assert meta is not None
        assert (meta.epoch, meta.next_sequence, meta.job) == (claim.epoch, 2, b'{"job":1}')

    @pytest.mark.parametrize(
        ("change", "outcome"),
        [
            ({"model": "none"}, OpenResult.UNKNOWN_MODEL),
            ({"connection_id": "gone"}, OpenResult.GONE),
        ],
    )
    async def test_refused(self, bench: Bench, change: dict[str, str], outcome: OpenResult) -> None:
        await bench.connections.register("gone", principal=a_principal())
        await bench.connections.remove("gone")
        new = replace(NEW, **change)  # type: ignore[arg-type]
        assert (await bench.log.open(new)).outcome is outcome
        assert await bench.log.describe("resp_1") is None
        assert await bench.log.read("resp_1") == []
        assert await bench.log.running_for(new.connection_id) == set()
        assert bench.published() == []

    async def test_a_model_nobody_serves_any_more(self, bench: Bench) -> None:
        await bench.models.announce(("old",), retention_s=0.01)
        await bench.seconds(0.03)
        assert (await bench.log.open(replace(NEW, model="old"))).outcome is OpenResult.UNKNOWN_MODEL

    async def test_no_model_at_all(self, make_bench: MakeBench) -> None:
        async with make_bench() as bench:
            await bench.relays.heartbeat("r1", lease_s=600)
            assert (await bench.log.open(NEW)).outcome is OpenResult.NO_MODEL
            assert await bench.log.describe("resp_1") is None

    async def test_nobody_serves_the_model_but_it_exists(self, make_bench: MakeBench) -> None:
        async with make_bench(models=("echo", "other")) as bench:
            await bench.relays.heartbeat("r1", lease_s=600)
            assert (await bench.log.open(NEW)).outcome is OpenResult.UNATTENDED
            assert (await bench.log.open(NEW)).outcome is OpenResult.UNATTENDED
            assert [p.partition(b"\n")[2] for _, p in bench.published()] == [b'{"n":0}']
            assert (await bench.log.claim("resp_1")).next_sequence == 1
            assert await bench.models.list() == []
            wrong = replace(NEW, response_id="resp_2", model="none")
            assert (await bench.log.open(wrong)).outcome is OpenResult.UNKNOWN_MODEL

    async def test_a_worker_announces_the_model(self, make_bench: MakeBench) -> None:
        async with make_bench(models=("echo", "other")) as bench:
            await bench.relays.heartbeat("r1", lease_s=600)
            await bench.models.announce(("echo",), retention_s=0.01)
            await bench.seconds(0.03)  # what a worker says of retention is not how long it lives
            assert (await bench.log.open(NEW)).outcome is OpenResult.OPENED
            other = replace(NEW, response_id="resp_2", model="other")
            assert (await bench.log.open(other)).outcome is OpenResult.UNATTENDED

    async def test_workers_that_fell_silent(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in ("axon.testing.event_log", "axon.adapters.valkey.event_log"):
            monkeypatch.setattr(f"{module}.SILENCE_S", 0.1)
        await bench.seconds(0.15)
        assert (await bench.log.open(NEW)).outcome is OpenResult.UNATTENDED
        await bench.models.announce(("echo",), retention_s=600)
        assert (await bench.log.open(NEW)).outcome is OpenResult.OPENED

    async def test_a_connection_that_left_before_it_was_entered(self, bench: Bench) -> None:
        await bench.connections.remove("c9")
        assert (await bench.log.open(replace(NEW, connection_id="c9"))).outcome is OpenResult.GONE

    async def test_a_connection_that_valkey_forgot_is_served_on(self, bench: Bench) -> None:
        assert (await bench.log.open(replace(NEW, connection_id="c9"))).outcome is OpenResult.OPENED
        assert await bench.log.running_for("c9") == {"resp_1"}

    async def test_without_a_relay(self, bench: Bench) -> None:
        await bench.relays.leave("r1")
        assert (await bench.log.open(NEW)).outcome is OpenResult.NO_RELAY
        assert await bench.log.describe("resp_1") is None

    async def test_a_relay_whose_beat_is_late_is_better_than_none(self, bench: Bench) -> None:
        await bench.relays.heartbeat("r1", lease_s=0.01)
        await bench.seconds(0.03)
        assert (await bench.log.open(NEW)).outcome is OpenResult.OPENED

    async def test_a_relay_whose_beat_is_late_is_worse_than_another(self, bench: Bench) -> None:
        await bench.relays.heartbeat("r1", lease_s=0.01)
        await bench.seconds(0.03)
        await bench.relays.heartbeat("r2", lease_s=60)
        await bench.log.open(NEW)
        meta = await bench.log.describe("resp_1")
        assert meta is not None
        assert meta.relay_id == "r2"

    async def test_a_relay_that_is_too_late_is_none(self, bench: Bench) -> None:
        await bench.relays.heartbeat("r1", lease_s=-(LATE_RELAY_S + 1))
        assert (await bench.log.open(NEW)).outcome is OpenResult.NO_RELAY

    async def test_a_relay_of_which_nothing_is_left_is_none(self, bench: Bench) -> None:
        await bench.relays.heartbeat("r1", lease_s=0.01)
        await bench.seconds(0.03)
        assert await bench.relays.take_over("r1", successor_id="r2") == []
        assert (await bench.log.open(NEW)).outcome is OpenResult.NO_RELAY


class TestRelayOfAConnection:
    async def owner(self, bench: Bench, response_id: str, connection_id: str) -> str:
        new = replace(NEW, response_id=response_id, connection_id=connection_id)
        assert (await bench.log.open(new)).outcome is OpenResult.OPENED
        meta = await bench.log.describe(response_id)
        assert meta is not None
        return meta.relay_id

    async def test_the_one_with_the_least_to_deliver(self, bench: Bench) -> None:
        await self.owner(bench, "resp_1", "c1")
        await bench.relays.heartbeat("r0", lease_s=600)
        await bench.relays.heartbeat("r2", lease_s=700)
        owners = set()
        for number in range(2, 4):
            await bench.connections.register(f"c{number}", principal=a_principal())
            owners.add(await self.owner(bench, f"resp_{number}", f"c{number}"))
        assert owners == {"r0", "r2"}

    async def test_it_stays_the_same_as_long_as_it_lives(self, bench: Bench) -> None:
        await self.owner(bench, "resp_1", "c1")
        await bench.relays.heartbeat("r0", lease_s=600)
        for number in range(2, 5):
            assert await self.owner(bench, f"resp_{number}", "c1") == "r1"

    async def test_another_takes_over_when_it_is_gone(self, bench: Bench) -> None:
        await self.owner(bench, "resp_1", "c1")
        await bench.relays.heartbeat("r2", lease_s=600)
        await bench.relays.leave("r1")
        assert await self.owner(bench, "resp_2", "c1") == "r2"
        await bench.relays.heartbeat("r1", lease_s=600)
        assert await self.owner(bench, "resp_3", "c1") == "r2"


class TestClaim:
    async def test_the_first_appends_in_progress(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        bench.published()
        claim = await bench.log.claim("resp_1", in_progress=IN_PROGRESS)
        assert claim == Claim(epoch=1, next_sequence=2)
        assert await bench.log.read("resp_1", after=0) == [LoggedEvent(1, IN_PROGRESS)]
        assert bench.published() == [("r1", payload("resp_1", 1, "-", [IN_PROGRESS]))]
        meta = await bench.log.describe("resp_1")
        assert meta is not None
        assert (meta.status, meta.epoch, meta.next_sequence) == (Status.IN_PROGRESS, 1, 2)

    async def test_a_later_one_appends_nothing(self, bench: Bench) -> None:
        await open_and_claim(bench.log)
        bench.published()
        claim = await bench.log.claim("resp_1", in_progress=b'{"again":1}')
        assert claim == Claim(epoch=2, next_sequence=2)
        assert await numbers(bench.log) == [0, 1]
        assert bench.published() == []

    async def test_without_in_progress(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        assert await bench.log.claim("resp_1") == Claim(epoch=1, next_sequence=1)
        assert await numbers(bench.log) == [0]
        later = await bench.log.claim("resp_1", in_progress=IN_PROGRESS)
        assert later == Claim(epoch=2, next_sequence=2)

    async def test_of_nothing(self, bench: Bench) -> None:
        with pytest.raises(MissingResponseError):
            await bench.log.claim("resp_1", in_progress=IN_PROGRESS)

    @pytest.mark.parametrize("status", [status for status in Status if status.terminal])
    async def test_of_what_has_ended(self, bench: Bench, status: Status) -> None:
        await end(bench.log, await open_and_claim(bench.log), status=status)
        with pytest.raises(FencedError):
            await bench.log.claim("resp_1", in_progress=IN_PROGRESS)

    async def test_every_claimant_gets_an_epoch_of_its_own(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        claims = await asyncio.gather(
            *(bench.log.claim("resp_1", in_progress=IN_PROGRESS) for _ in range(20))
        )
        assert len({claim.epoch for claim in claims}) == 20
        assert {claim.next_sequence for claim in claims} == {2}
        assert await numbers(bench.log) == [0, 1]


class TestAppend:
    async def test_events_are_logged_with_their_token_ids_and_published(self, bench: Bench) -> None:
        claim = await open_and_claim(bench.log)
        bench.published()
        batch = [*events(2), *events(3, token_ids=(5, 70000, 0))]
        assert await bench.log.append("resp_1", epoch=claim.epoch, events=batch) == "c1"
        assert await bench.log.read("resp_1", after=1) == batch
        lines = [b'{"n":2}', b'{"n":3}']
        assert bench.published() == [("r1", payload("resp_1", 2, "-", lines))]

    async def test_in_order(self, bench: Bench) -> None:
        claim = await open_and_claim(bench.log)
        for first in range(2, 20, 3):
            await bench.log.append("resp_1", epoch=claim.epoch, events=events(first, 3))
        assert await numbers(bench.log) == list(range(20))

    async def test_any_bytes(self, bench: Bench) -> None:
        claim = await open_and_claim(bench.log)
        data = '{"text":"wörld 🌍 \\u0000\\n\uffff \\\\ %s %d"}'.encode()
        await bench.log.append("resp_1", epoch=claim.epoch, events=[LoggedEvent(2, data)])
        assert (await bench.log.read("resp_1", after=1))[0].data == data

    async def test_the_terminal_one_ends_the_log(self, bench: Bench) -> None:
        claim = await open_and_claim(bench.log)
        bench.published()
        await end(bench.log, claim)
        assert bench.published() == [("r1", payload("resp_1", 2, "T", [b'{"n":2}']))]
        meta = await bench.log.describe("resp_1")
        assert meta is not None
        assert (meta.status, meta.next_sequence, meta.job) == (Status.COMPLETED, 3, b"")

    async def test_again_is_harmless(self, bench: Bench) -> None:
        claim = await open_and_claim(bench.log)
        for _ in range(2):
            await bench.log.append("resp_1", epoch=claim.epoch, events=events(2, 2))
        await bench.log.append("resp_1", epoch=claim.epoch, events=events(4))
        await bench.log.append("resp_1", epoch=claim.epoch, events=events(2, 2))
        assert await numbers(bench.log) == [0, 1, 2, 3, 4]

    async def test_of_the_end_again_is_harmless(self, bench: Bench) -> None:
        claim = await open_and_claim(bench.log)
        await end(bench.log, claim)
        bench.published()
        await end(bench.log, claim)
        assert await numbers(bench.log) == [0, 1, 2]
        assert bench.published() == []

    async def test_after_a_later_claim_is_fenced(self, bench: Bench) -> None:
        first = await open_and_claim(bench.log)
        second = await bench.log.claim("resp_1")
        with pytest.raises(FencedError):
            await bench.log.append("resp_1", epoch=first.epoch, events=events(2))
        assert await numbers(bench.log) == [0, 1]
        await bench.log.append("resp_1", epoch=second.epoch, events=events(2))
        with pytest.raises(FencedError):
            await bench.log.append("resp_1", epoch=first.epoch, events=events(3))
        assert await numbers(bench.log) == [0, 1, 2]

    async def test_after_the_end_is_fenced(self, bench: Bench) -> None:
        claim = await open_and_claim(bench.log)
        await end(bench.log, claim)
        with pytest.raises(FencedError):
            await bench.log.append("resp_1", epoch=claim.epoch, events=events(3))
        assert await numbers(bench.log) == [0, 1, 2]

    async def test_to_nothing(self, bench: Bench) -> None:
        with pytest.raises(MissingResponseError):
            await bench.log.append("resp_1", epoch=1, events=events(1))

    async def test_with_a_gap_is_an_error(self, bench: Bench) -> None:
        claim = await open_and_claim(bench.log)
        with pytest.raises(AxonError, match="gap"):
            await bench.log.append("resp_1", epoch=claim.epoch, events=events(3))
        assert await numbers(bench.log) == [0, 1]

    async def test_of_two_attempts_at_once_only_the_newer_gets_through(self, bench: Bench) -> None:
        older = await open_and_claim(bench.log)
        newer = await bench.log.claim("resp_1")

        async def attempt(claim: Claim, token: int) -> None:
            for number in range(2, 12):
                batch = events(number, token_ids=(token,))
                await bench.log.append("resp_1", epoch=claim.epoch, events=batch)

        outcomes = await asyncio.gather(
            attempt(older, 1), attempt(newer, 2), return_exceptions=True
        )
        assert isinstance(outcomes[0], FencedError)
        assert outcomes[1] is None
        logged = await bench.log.read("resp_1", after=1)
        assert [event.sequence_number for event in logged] == list(range(2, 12))
        assert {event.token_ids for event in logged} == {(2,)}


class TestRead:
    async def test_what_follows_a_number(self, bench: Bench) -> None:
        claim = await open_and_claim(bench.log)
        await bench.log.append("resp_1", epoch=claim.epoch, events=events(2, 10))
        assert await numbers(bench.log) == list(range(12))
        assert await numbers(bench.log, after=0) == list(range(1, 12))
        assert await numbers(bench.log, after=9) == [10, 11]
        assert await numbers(bench.log, after=11) == []
        assert await numbers(bench.log, after=99) == []

    async def test_no_more_than_asked_for(self, bench: Bench) -> None:
        claim = await open_and_claim(bench.log)
        await bench.log.append("resp_1", epoch=claim.epoch, events=events(2, 10))
        some = await bench.log.read("resp_1", after=3, limit=2)
        assert [event.sequence_number for event in some] == [4, 5]

    async def test_events_go_before_what_is_known_of_them(self, make_bench: MakeBench) -> None:
        async with make_bench(deadline_s=600, retention_s=1) as bench:
            await prepare(bench)
            await end(bench.log, await open_and_claim(bench.log))
            assert await numbers(bench.log) == [0, 1, 2]
            await bench.seconds(1.1)
            assert await numbers(bench.log) == []
            with pytest.raises(FencedError):  # its job may come again
                await bench.log.claim("resp_1")

    async def test_nothing(self, bench: Bench) -> None:
        assert await bench.log.read("resp_1") == []
        assert await bench.log.describe("resp_1") is None
