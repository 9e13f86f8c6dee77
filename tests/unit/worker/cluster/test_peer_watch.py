"""PeerWatch: which peers are dead, by one process's own clock."""

import pytest

from axon.directory.beats import SILENT_S
from worker.cluster.peer_watch import GRACE_S, LEASE_S, PeerWatch

BEAT_S = 0.5


class WatchHarness:
    """Reads silent peers every half second; those in `silent` stand still. The own value beats."""

    def __init__(self, *peers: str) -> None:
        self.now = 100.0
        self.peers = [*peers, "own"]
        self.silent: set[str] = set()
        self.values = dict.fromkeys(self.peers, "1")
        self._written = {peer: (value, 0.0) for peer, value in self.values.items()}
        self.watch = PeerWatch(incarnation="own", clock=lambda: self.now)

    def read(self) -> set[str]:
        for peer in self.peers:
            if peer not in self.silent:
                self.values[peer] = str(int(self.values[peer]) + 1)
        return set(self.watch.observe(self._returned()))

    def _returned(self) -> dict[str, str]:
        """Return what the directory returns: the own value, and the peers that are silent."""
        for peer, value in self.values.items():
            if self._written.get(peer, ("", 0.0))[0] != value:
                self._written[peer] = (value, self.now)
        return {
            peer: value
            for peer, value in self.values.items()
            if peer == "own" or self.now - self._written[peer][1] >= SILENT_S
        }

    def dead_within(self, seconds: float) -> dict[str, float]:
        """Read for some seconds; return after how many each peer was dead."""
        began, dead = self.now, dict[str, float]()
        while self.now - began <= seconds:
            for peer in self.read():
                dead.setdefault(peer, self.now - began)
            self.now += BEAT_S
        return dead


def test_peer_watch_finds_a_silent_peer_within_three_seconds() -> None:
    harness = WatchHarness("a", "b")
    assert harness.dead_within(20) == {}
    harness.silent = {"b"}
    dead = harness.dead_within(20)
    assert dead.keys() == {"b"}
    # The first silent read is half a second after the last beat.
    assert SILENT_S + LEASE_S - BEAT_S <= dead["b"] <= 3 - BEAT_S


def test_peer_watch_of_a_new_process_waits_one_lease() -> None:
    harness = WatchHarness("a")
    harness.silent = {"a"}
    assert harness.dead_within(20) == {"a": LEASE_S}


def test_peer_watch_ends_no_lease_during_an_outage_nor_for_a_period_after_it() -> None:
    for outage_s in (2.0, 30.0, 3600.0):
        harness = WatchHarness("a", "b")
        harness.dead_within(5)
        harness.now += outage_s
        harness.silent = {"a", "b"}  # they take some time to come back
        assert harness.dead_within(GRACE_S - BEAT_S) == {}
        harness.silent = {"b"}
        assert harness.dead_within(20).keys() == {"b"}


def test_peer_watch_forgets_a_peer_that_left() -> None:
    harness = WatchHarness("a", "b")
    harness.dead_within(5)
    harness.silent = {"a"}
    harness.dead_within(LEASE_S - 2 * BEAT_S)
    value = harness.values.pop("a")
    harness.peers.remove("a")
    assert harness.dead_within(5) == {}
    # Valkey had lost it for a moment: its lease begins again.
    harness.values["a"] = value
    assert harness.dead_within(20) == {"a": LEASE_S}


def test_peer_watch_takes_any_new_value_for_a_sign_of_life() -> None:
    harness = WatchHarness("a")
    harness.dead_within(5)
    harness.silent = {"a"}
    harness.values["a"] = "taken by b"
    assert harness.dead_within(2) == {}
    harness.values["a"] = "1"  # lower than before
    assert harness.dead_within(2) == {}
    assert harness.dead_within(1) == {"a": 0.0}


@pytest.mark.parametrize("started_before", [True, False])
def test_peer_watch_ends_no_lease_while_valkey_refuses_beats_nor_for_a_period_after_it(
    started_before: bool,
) -> None:
    harness = WatchHarness("a", "b")
    if started_before:
        harness.dead_within(5)
    else:
        del harness.values["own"]  # it has never beaten
        harness.peers.remove("own")
    harness.silent = {"a", "b", "own"}
    assert harness.dead_within(60) == {}
    harness.values["own"] = "2"
    harness.peers = ["a", "b", "own"]
    harness.silent = {"a", "b"}  # they take some time to come back
    assert harness.dead_within(GRACE_S - BEAT_S) == {}
    harness.silent = {"b"}
    assert harness.dead_within(20).keys() == {"b"}
