import asyncio
from dataclasses import replace

import pytest

from axon.directory.relays import LATE_RELAY_S
from axon.event_log.log import Claim, LoggedEvent, Status
from axon.event_log.openings import OpenResult
from axon.exceptions import AxonError, FencedError, MissingResponseError
from tests.contract.axon.event_log.event_log_samples import (
    IN_PROGRESS,
    NEW,
    end,
    events,
    numbers,
    open_and_claim,
    payload,
    prepare,
)
from tests.contract.conftest import EventLogHarness, MakeHarness
from tests.support.principals import a_principal


class TestEventLogOpen:
    async def test_logs_and_publishes_event_0(self, harness: EventLogHarness) -> None:
        assert (await harness.log.open(NEW)).outcome is OpenResult.OPENED
        assert await harness.log.read("resp_1") == [LoggedEvent(0, b'{"n":0}')]
        assert harness.published() == [("r1", payload("resp_1", 0, "-!", [b'{"n":0}']))]

    async def test_makes_the_response_known(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        meta = await harness.log.describe("resp_1")
        assert meta is not None
        assert meta.response_id == "resp_1"
        assert meta.tenant_id == "t"
        assert meta.key_id == "key_1"
        assert meta.connection_id == "c1"
        assert meta.relay_id == "r1"
        assert meta.status is Status.QUEUED
        assert (meta.epoch, meta.next_sequence) == (0, 1)
        assert meta.job == b'{"job":1}'

    async def test_gives_the_response_to_its_relay(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        assert await harness.relays.undelivered("r1") == {"resp_1"}

    async def test_repeated_changes_nothing(self, harness: EventLogHarness) -> None:
        claim = await open_and_claim(harness.log)
        harness.published()
        again = replace(NEW, created=b'{"other":0}', job=b"other")
        assert (await harness.log.open(again)).outcome is OpenResult.OPENED
        assert harness.published() == []
        meta = await harness.log.describe("resp_1")
        assert meta is not None
        assert (meta.epoch, meta.next_sequence, meta.job) == (claim.epoch, 2, b'{"job":1}')

    @pytest.mark.parametrize(
        ("change", "outcome"),
        [
            ({"model": "none"}, OpenResult.UNKNOWN_MODEL),
            ({"connection_id": "gone"}, OpenResult.GONE),
        ],
    )
    async def test_refuses_unknown_models_and_closed_connections(
        self, harness: EventLogHarness, change: dict[str, str], outcome: OpenResult
    ) -> None:
        await harness.connections.register("gone", principal=a_principal())
        await harness.connections.remove("gone")
        new = replace(NEW, **change)  # type: ignore[arg-type]
        assert (await harness.log.open(new)).outcome is outcome
        assert await harness.log.describe("resp_1") is None
        assert await harness.log.read("resp_1") == []
        assert await harness.log.running_for(new.connection_id) == set()
        assert harness.published() == []

    async def test_refuses_a_model_that_is_no_longer_served(self, harness: EventLogHarness) -> None:
        await harness.models.register(("old",), retention_s=0.01)
        await harness.seconds(0.03)
        assert (
            await harness.log.open(replace(NEW, model="old"))
        ).outcome is OpenResult.UNKNOWN_MODEL

    async def test_tells_when_no_model_is_known_at_all(self, make_harness: MakeHarness) -> None:
        async with make_harness() as harness:
            await harness.relays.heartbeat("r1", lease_s=600)
            assert (await harness.log.open(NEW)).outcome is OpenResult.NO_MODEL
            assert await harness.log.describe("resp_1") is None

    async def test_is_unattended_when_a_known_model_has_no_worker(
        self, make_harness: MakeHarness
    ) -> None:
        async with make_harness(models=("echo", "other")) as harness:
            await harness.relays.heartbeat("r1", lease_s=600)
            assert (await harness.log.open(NEW)).outcome is OpenResult.UNATTENDED
            assert (await harness.log.open(NEW)).outcome is OpenResult.UNATTENDED
            assert [p.partition(b"\n")[2] for _, p in harness.published()] == [b'{"n":0}']
            assert (await harness.log.claim("resp_1")).next_sequence == 1
            assert await harness.models.list() == []
            wrong = replace(NEW, response_id="resp_2", model="none")
            assert (await harness.log.open(wrong)).outcome is OpenResult.UNKNOWN_MODEL

    async def test_is_attended_when_a_worker_has_registered_the_model(
        self, make_harness: MakeHarness
    ) -> None:
        async with make_harness(models=("echo", "other")) as harness:
            await harness.relays.heartbeat("r1", lease_s=600)
            await harness.models.register(("echo",), retention_s=0.01)
            await harness.seconds(0.03)  # what a worker says of retention is not how long it lives
            assert (await harness.log.open(NEW)).outcome is OpenResult.OPENED
            other = replace(NEW, response_id="resp_2", model="other")
            assert (await harness.log.open(other)).outcome is OpenResult.UNATTENDED

    async def test_is_unattended_when_the_registration_of_the_workers_has_ended(
        self, harness: EventLogHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in ("axon.testing.event_log", "axon.adapters.valkey.event_log"):
            monkeypatch.setattr(f"{module}.SILENCE_S", 0.1)
        await harness.seconds(0.15)
        assert (await harness.log.open(NEW)).outcome is OpenResult.UNATTENDED
        await harness.models.register(("echo",), retention_s=600)
        assert (await harness.log.open(NEW)).outcome is OpenResult.OPENED

    async def test_refuses_a_connection_that_left_before_it_was_registered(
        self, harness: EventLogHarness
    ) -> None:
        await harness.connections.remove("c9")
        assert (await harness.log.open(replace(NEW, connection_id="c9"))).outcome is OpenResult.GONE

    async def test_accepts_a_connection_that_valkey_has_lost(
        self, harness: EventLogHarness
    ) -> None:
        assert (
            await harness.log.open(replace(NEW, connection_id="c9"))
        ).outcome is OpenResult.OPENED
        assert await harness.log.running_for("c9") == {"resp_1"}

    async def test_needs_a_relay(self, harness: EventLogHarness) -> None:
        await harness.relays.end_lease("r1")
        assert (await harness.log.open(NEW)).outcome is OpenResult.NO_RELAY
        assert await harness.log.describe("resp_1") is None

    async def test_uses_a_relay_with_a_late_heartbeat_when_there_is_no_other(
        self, harness: EventLogHarness
    ) -> None:
        await harness.relays.heartbeat("r1", lease_s=0.01)
        await harness.seconds(0.03)
        assert (await harness.log.open(NEW)).outcome is OpenResult.OPENED

    async def test_prefers_a_relay_whose_lease_runs(self, harness: EventLogHarness) -> None:
        await harness.relays.heartbeat("r1", lease_s=0.01)
        await harness.seconds(0.03)
        await harness.relays.heartbeat("r2", lease_s=60)
        await harness.log.open(NEW)
        meta = await harness.log.describe("resp_1")
        assert meta is not None
        assert meta.relay_id == "r2"

    async def test_uses_no_relay_whose_heartbeat_is_too_late(
        self, harness: EventLogHarness
    ) -> None:
        await harness.relays.heartbeat("r1", lease_s=-(LATE_RELAY_S + 1))
        assert (await harness.log.open(NEW)).outcome is OpenResult.NO_RELAY

    async def test_uses_no_relay_that_was_taken_over(self, harness: EventLogHarness) -> None:
        await harness.relays.heartbeat("r1", lease_s=0.01)
        await harness.seconds(0.03)
        assert await harness.relays.take_over("r1", successor_id="r2") == []
        assert (await harness.log.open(NEW)).outcome is OpenResult.NO_RELAY


class TestRelayOfConnection:
    async def owner(self, harness: EventLogHarness, response_id: str, connection_id: str) -> str:
        new = replace(NEW, response_id=response_id, connection_id=connection_id)
        assert (await harness.log.open(new)).outcome is OpenResult.OPENED
        meta = await harness.log.describe(response_id)
        assert meta is not None
        return meta.relay_id

    async def test_has_the_fewest_deliveries(self, harness: EventLogHarness) -> None:
        await self.owner(harness, "resp_1", "c1")
        await harness.relays.heartbeat("r0", lease_s=600)
        await harness.relays.heartbeat("r2", lease_s=700)
        owners = set()
        for number in range(2, 4):
            await harness.connections.register(f"c{number}", principal=a_principal())
            owners.add(await self.owner(harness, f"resp_{number}", f"c{number}"))
        assert owners == {"r0", "r2"}

    async def test_stays_the_same_while_its_lease_runs(self, harness: EventLogHarness) -> None:
        await self.owner(harness, "resp_1", "c1")
        await harness.relays.heartbeat("r0", lease_s=600)
        for number in range(2, 5):
            assert await self.owner(harness, f"resp_{number}", "c1") == "r1"

    async def test_is_replaced_when_it_is_gone(self, harness: EventLogHarness) -> None:
        await self.owner(harness, "resp_1", "c1")
        await harness.relays.heartbeat("r2", lease_s=600)
        await harness.relays.end_lease("r1")
        assert await self.owner(harness, "resp_2", "c1") == "r2"
        await harness.relays.heartbeat("r1", lease_s=600)
        assert await self.owner(harness, "resp_3", "c1") == "r2"


class TestEventLogClaim:
    async def test_first_claim_appends_in_progress(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        harness.published()
        claim = await harness.log.claim("resp_1", in_progress=IN_PROGRESS)
        assert claim == Claim(epoch=1, next_sequence=2)
        assert await harness.log.read("resp_1", after=0) == [LoggedEvent(1, IN_PROGRESS)]
        assert harness.published() == [("r1", payload("resp_1", 1, "-", [IN_PROGRESS]))]
        meta = await harness.log.describe("resp_1")
        assert meta is not None
        assert (meta.status, meta.epoch, meta.next_sequence) == (Status.IN_PROGRESS, 1, 2)

    async def test_later_claim_appends_nothing(self, harness: EventLogHarness) -> None:
        await open_and_claim(harness.log)
        harness.published()
        claim = await harness.log.claim("resp_1", in_progress=b'{"again":1}')
        assert claim == Claim(epoch=2, next_sequence=2)
        assert await numbers(harness.log) == [0, 1]
        assert harness.published() == []

    async def test_appends_nothing_without_an_event(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        assert await harness.log.claim("resp_1") == Claim(epoch=1, next_sequence=1)
        assert await numbers(harness.log) == [0]
        later = await harness.log.claim("resp_1", in_progress=IN_PROGRESS)
        assert later == Claim(epoch=2, next_sequence=2)

    async def test_raises_for_a_missing_log(self, harness: EventLogHarness) -> None:
        with pytest.raises(MissingResponseError):
            await harness.log.claim("resp_1", in_progress=IN_PROGRESS)

    @pytest.mark.parametrize("status", [status for status in Status if status.terminal])
    async def test_is_fenced_after_the_end_of_the_response(
        self, harness: EventLogHarness, status: Status
    ) -> None:
        await end(harness.log, await open_and_claim(harness.log), status=status)
        with pytest.raises(FencedError):
            await harness.log.claim("resp_1", in_progress=IN_PROGRESS)

    async def test_gives_each_claimant_its_own_epoch(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        claims = await asyncio.gather(
            *(harness.log.claim("resp_1", in_progress=IN_PROGRESS) for _ in range(20))
        )
        assert len({claim.epoch for claim in claims}) == 20
        assert {claim.next_sequence for claim in claims} == {2}
        assert await numbers(harness.log) == [0, 1]


class TestEventLogAppend:
    async def test_logs_events_with_token_ids_and_publishes_them(
        self, harness: EventLogHarness
    ) -> None:
        claim = await open_and_claim(harness.log)
        harness.published()
        batch = [*events(2), *events(3, token_ids=(5, 70000, 0))]
        assert await harness.log.append("resp_1", epoch=claim.epoch, events=batch) == "c1"
        assert await harness.log.read("resp_1", after=1) == batch
        lines = [b'{"n":2}', b'{"n":3}']
        assert harness.published() == [("r1", payload("resp_1", 2, "-", lines))]

    async def test_keeps_the_order(self, harness: EventLogHarness) -> None:
        claim = await open_and_claim(harness.log)
        for first in range(2, 20, 3):
            await harness.log.append("resp_1", epoch=claim.epoch, events=events(first, 3))
        assert await numbers(harness.log) == list(range(20))

    async def test_keeps_any_bytes(self, harness: EventLogHarness) -> None:
        claim = await open_and_claim(harness.log)
        data = '{"text":"wörld 🌍 \\u0000\\n\uffff \\\\ %s %d"}'.encode()
        await harness.log.append("resp_1", epoch=claim.epoch, events=[LoggedEvent(2, data)])
        assert (await harness.log.read("resp_1", after=1))[0].data == data

    async def test_terminal_event_ends_the_log(self, harness: EventLogHarness) -> None:
        claim = await open_and_claim(harness.log)
        harness.published()
        await end(harness.log, claim)
        assert harness.published() == [("r1", payload("resp_1", 2, "T", [b'{"n":2}']))]
        meta = await harness.log.describe("resp_1")
        assert meta is not None
        assert (meta.status, meta.next_sequence, meta.job) == (Status.COMPLETED, 3, b"")

    async def test_repeated_changes_nothing(self, harness: EventLogHarness) -> None:
        claim = await open_and_claim(harness.log)
        for _ in range(2):
            await harness.log.append("resp_1", epoch=claim.epoch, events=events(2, 2))
        await harness.log.append("resp_1", epoch=claim.epoch, events=events(4))
        await harness.log.append("resp_1", epoch=claim.epoch, events=events(2, 2))
        assert await numbers(harness.log) == [0, 1, 2, 3, 4]

    async def test_repeated_end_changes_nothing(self, harness: EventLogHarness) -> None:
        claim = await open_and_claim(harness.log)
        await end(harness.log, claim)
        harness.published()
        await end(harness.log, claim)
        assert await numbers(harness.log) == [0, 1, 2]
        assert harness.published() == []

    async def test_is_fenced_after_a_later_claim(self, harness: EventLogHarness) -> None:
        first = await open_and_claim(harness.log)
        second = await harness.log.claim("resp_1")
        with pytest.raises(FencedError):
            await harness.log.append("resp_1", epoch=first.epoch, events=events(2))
        assert await numbers(harness.log) == [0, 1]
        await harness.log.append("resp_1", epoch=second.epoch, events=events(2))
        with pytest.raises(FencedError):
            await harness.log.append("resp_1", epoch=first.epoch, events=events(3))
        assert await numbers(harness.log) == [0, 1, 2]

    async def test_is_fenced_after_the_end(self, harness: EventLogHarness) -> None:
        claim = await open_and_claim(harness.log)
        await end(harness.log, claim)
        with pytest.raises(FencedError):
            await harness.log.append("resp_1", epoch=claim.epoch, events=events(3))
        assert await numbers(harness.log) == [0, 1, 2]

    async def test_raises_for_a_missing_log(self, harness: EventLogHarness) -> None:
        with pytest.raises(MissingResponseError):
            await harness.log.append("resp_1", epoch=1, events=events(1))

    async def test_raises_for_a_gap(self, harness: EventLogHarness) -> None:
        claim = await open_and_claim(harness.log)
        with pytest.raises(AxonError, match="gap"):
            await harness.log.append("resp_1", epoch=claim.epoch, events=events(3))
        assert await numbers(harness.log) == [0, 1]

    async def test_accepts_only_the_newer_of_two_concurrent_attempts(
        self, harness: EventLogHarness
    ) -> None:
        older = await open_and_claim(harness.log)
        newer = await harness.log.claim("resp_1")

        async def attempt(claim: Claim, token: int) -> None:
            for number in range(2, 12):
                batch = events(number, token_ids=(token,))
                await harness.log.append("resp_1", epoch=claim.epoch, events=batch)

        outcomes = await asyncio.gather(
            attempt(older, 1), attempt(newer, 2), return_exceptions=True
        )
        assert isinstance(outcomes[0], FencedError)
        assert outcomes[1] is None
        logged = await harness.log.read("resp_1", after=1)
        assert [event.sequence_number for event in logged] == list(range(2, 12))
        assert {event.token_ids for event in logged} == {(2,)}


class TestEventLogRead:
    async def test_returns_what_follows_a_number(self, harness: EventLogHarness) -> None:
        claim = await open_and_claim(harness.log)
        await harness.log.append("resp_1", epoch=claim.epoch, events=events(2, 10))
        assert await numbers(harness.log) == list(range(12))
        assert await numbers(harness.log, after=0) == list(range(1, 12))
        assert await numbers(harness.log, after=9) == [10, 11]
        assert await numbers(harness.log, after=11) == []
        assert await numbers(harness.log, after=99) == []

    async def test_returns_at_most_the_limit(self, harness: EventLogHarness) -> None:
        claim = await open_and_claim(harness.log)
        await harness.log.append("resp_1", epoch=claim.epoch, events=events(2, 10))
        some = await harness.log.read("resp_1", after=3, limit=2)
        assert [event.sequence_number for event in some] == [4, 5]

    async def test_returns_nothing_after_retention_though_the_end_is_known(
        self, make_harness: MakeHarness
    ) -> None:
        async with make_harness(deadline_s=600, retention_s=1) as harness:
            await prepare(harness)
            await end(harness.log, await open_and_claim(harness.log))
            assert await numbers(harness.log) == [0, 1, 2]
            await harness.seconds(1.1)
            assert await numbers(harness.log) == []
            with pytest.raises(FencedError):  # its job may come again
                await harness.log.claim("resp_1")

    async def test_returns_nothing_of_a_missing_log(self, harness: EventLogHarness) -> None:
        assert await harness.log.read("resp_1") == []
        assert await harness.log.describe("resp_1") is None
