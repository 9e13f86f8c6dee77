"""Whatever happens in whatever order: logs are gapless prefixes, and clients' streams are, too."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import JournalRecord, LoggedEvent, Status
from axon.exceptions import FencedError, MissingResponseError
from tests.contract.axon.event_log.event_log_model import RELAYS, Attempt, EventLogModel
from tests.contract.conftest import Kind, MakeHarness

EXAMPLES = {"fake": 60, "real": 6, "repeated": 6}
PICK = st.integers(0, 5)
COUNTS = st.tuples(st.integers(0, 3), st.integers(0, 2))
FLAGS = st.tuples(st.booleans(), st.booleans())


class EventLogMachine(EventLogModel):
    """The steps that may follow one another, and the invariants after each."""

    @initialize()
    def begin(self) -> None:
        self.runner.run(self._announce())
        for relay in self.relays.values():
            self.runner.run(relay.start())

    # Requests and workers

    @rule(same_client=st.booleans(), followed=st.integers(0, 3))
    @precondition(lambda self: len(self.truth) < 3)
    def open(self, same_client: bool, followed: int) -> None:
        connections = [c for c in self.clients.waits_at.values() if self.clients.is_open(c)]
        connection_id = connections[-1] if same_client and connections else self.new_connection()
        response_id = f"resp_{len(self.truth)}"
        self.runner.run(self._open(response_id, "" if followed == 3 else connection_id))

    @rule(pick=PICK, heard=st.booleans())
    @precondition(lambda self: self.truth)
    def claim(self, pick: int, heard: bool) -> None:
        response_id = list(self.truth)[pick % len(self.truth)]
        try:
            claim = self.runner.run(self.harness.log.claim(response_id, in_progress=b"begun"))
        except FencedError:
            assert response_id in self.ended
            return
        except MissingResponseError:
            assert response_id in self.lost
            return
        truth = self.truth[response_id]
        if len(truth) == 1:
            truth.append(LoggedEvent(1, b"begun"))
            if heard:
                self.runner.run(self._offer(response_id, first=1))
        assert claim.next_sequence == len(truth)
        assert claim.epoch > self.epochs[response_id]
        self.epochs[response_id] = claim.epoch
        connection_id = self.clients.waits_at[response_id]
        journal = self.journals[response_id]
        assert claim.next_record == len(journal)
        self.attempts.append(
            Attempt(response_id, connection_id, claim.epoch, list(truth), journal=list(journal))
        )

    @rule(pick=PICK, counts=COUNTS, final=st.integers(0, 4), flags=FLAGS)
    @precondition(lambda self: self.attempts)
    def append(
        self, pick: int, counts: tuple[int, int], final: int, flags: tuple[bool, bool]
    ) -> None:
        """Append events, journal records or both, or what was appended last once more."""
        again, heard = flags
        count, records = counts
        attempt = self.attempts[pick % len(self.attempts)]
        if not (again and (attempt.last or attempt.last_records)):
            if attempt.status.terminal or count + records == 0:
                return
            first, first_record = len(attempt.events), len(attempt.journal)
            attempt.last = [
                LoggedEvent(n, b"%d by %d" % (n, attempt.epoch), (n,))
                for n in range(first, first + count)
            ]
            attempt.last_records = [
                JournalRecord(number=n, after=first - 1, kind="step", data=b"%d" % attempt.epoch)
                for n in range(first_record, first_record + records)
            ]
            attempt.journal += attempt.last_records
            if final == 0 and count:
                attempt.status = Status.COMPLETED
                last = attempt.last[-1]
                attempt.last[-1] = LoggedEvent(last.sequence_number, last.data + b" end")
            attempt.events += attempt.last
        self.runner.run(self._append(attempt, heard=heard))

    @rule(pick=PICK)
    @precondition(lambda self: self.there())
    def end(self, pick: int) -> None:
        there = self.there()
        self.runner.run(self._end(there[pick % len(there)]))

    @rule()
    def cancel_abandoned(self) -> None:
        self.runner.run(self._cancel_abandoned())

    # Clients

    @rule(pick=PICK, noticed=st.booleans())
    @precondition(lambda self: self.truth)
    def leave(self, pick: int, noticed: bool) -> None:
        response_id = list(self.truth)[pick % len(self.truth)]
        connection_id = self.clients.waits_at[response_id]
        self.clients.close(connection_id)
        if noticed and connection_id:
            self.runner.run(self._disconnect(connection_id))

    @rule(pick=PICK)
    @precondition(lambda self: self.clients.closed)
    def disconnect_late(self, pick: int) -> None:
        connection_id = self.clients.closed[pick % len(self.clients.closed)]
        self.runner.run(self._disconnect(connection_id))

    @rule(pick=PICK, heard=st.booleans())
    @precondition(lambda self: self.truth)
    def resume(self, pick: int, heard: bool) -> None:
        response_id = list(self.truth)[pick % len(self.truth)]
        self.runner.run(self._resume(response_id, heard=heard))

    # Relays

    @rule(pick=PICK, flags=FLAGS, lost=st.integers(0, 19))
    @precondition(lambda self: self.under_way())
    def step(self, pick: int, flags: tuple[bool, bool], lost: int) -> None:
        certain, asks = flags
        pairs = self.under_way()
        relay, response_id = pairs[pick % len(pairs)]
        self.runner.run(relay.step(response_id, certain=certain, asks=asks, arrives=lost < 19))

    @rule(pick=PICK, count=st.integers(1, 9))
    @precondition(lambda self: self.under_way())
    def deliver(self, pick: int, count: int) -> None:
        relay = self.relay(pick)
        if relay.state == "running":
            self.runner.run(self._deliver(relay, count))

    @rule(pick=PICK)
    def rescan(self, pick: int) -> None:
        relay = self.relay(pick)
        if relay.state == "running":
            self.runner.run(relay.rescan())

    @rule(pick=PICK, dead=st.booleans())
    def halt(self, pick: int, dead: bool) -> None:
        relay = self.relay(pick)
        if relay.state == "running":
            self.runner.run(relay.halt(dead=dead))

    @rule(pick=PICK)
    @precondition(lambda self: len(self.running()) < len(RELAYS))
    def return_(self, pick: int) -> None:
        away = [relay for relay in self.relays.values() if relay.state != "running"]
        relay = away[pick % len(away)]
        if relay.state == "dead":
            self.runner.run(relay.start())
        elif relay.state == "stopped":
            relay.state = "running"
            self.runner.run(relay.beat())

    @rule(dies=st.integers(0, 3), limit=st.integers(1, 2))
    @precondition(lambda self: 0 < len(self.running()) < len(RELAYS))
    def take_over(self, dies: int, limit: int) -> None:
        self.runner.run(self._take_over(self.running()[0], limit=limit, dies=dies == 3))

    @rule(limit=st.integers(1, 2))
    @precondition(lambda self: len(self.running()) == 2)
    def adopt_at_once(self, limit: int) -> None:
        self.runner.run(self._adopt_at_once(limit))

    # Valkey

    @rule(luck=st.integers(0, 9))
    @precondition(lambda self: self.attempts)
    def lose(self, luck: int) -> None:
        if luck == 9:
            self.harness.lose()
            self.lost.update(self.truth)
            self.runner.run(self._return_after_loss())

    # What always holds

    @invariant()
    def logs_are_gapless_prefixes(self) -> None:
        for response_id in self.there():
            assert self.runner.run(self.harness.log.read(response_id)) == self.truth[response_id]

    @invariant()
    def journals_are_what_attempts_have_recorded(self) -> None:
        for response_id in self.there():
            journal = self.runner.run(self.harness.log.read_journal(response_id))
            assert journal == self.journals[response_id]

    @invariant()
    def streams_are_gapless_prefixes(self) -> None:
        for response_id in self.there():
            got = self.clients.received[response_id]
            assert got == self.truth[response_id][: len(got)]

    @invariant()
    def marks_tell_the_truth(self) -> None:
        for response_id in self.there():
            meta = self.runner.run(self.harness.log.describe(response_id))
            assert meta is not None
            got, checkpoint = len(self.clients.received[response_id]), meta.checkpoint
            if (
                checkpoint == DeliveryCheckpoint(0, TailState.IN_DOUBT)
                or meta.connection_id != self.clients.waits_at[response_id]
            ):
                continue  # it was restored: nothing is known
            assert got == checkpoint.next_sequence or (
                not checkpoint.certain and got > checkpoint.next_sequence
            )

    @invariant()
    def each_response_is_one_relays(self) -> None:
        owners: dict[str, str] = {}
        for name in RELAYS:
            for response_id in self.runner.run(self.harness.relays.undelivered(name)):
                assert response_id not in owners
                owners[response_id] = name
        for response_id, name in owners.items():
            meta = self.runner.run(self.harness.log.describe(response_id))
            assert meta is not None
            assert meta.relay_id == name


def test_event_log_and_streams_are_gapless_prefixes_whatever_happens(
    make_harness: MakeHarness, kind: Kind
) -> None:
    steps: dict[str, Any] = {"max_examples": EXAMPLES[kind], "stateful_step_count": 60}
    run_state_machine_as_test(
        lambda: EventLogMachine(make_harness),  # type: ignore[arg-type]
        settings=settings(derandomize=True, database=None, **steps),
    )
