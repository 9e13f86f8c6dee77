from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from benchmarks import run as cells
from benchmarks.model import BenchmarkError, Measurement, Pace
from benchmarks.peers import AXON, LITELLM_2, MOCK
from benchmarks.run import LONG_PACE, LONG_TOKENS, Plan
from tests.unit.benchmarks.measurement_samples import FULL, SLOW, measurement


class StubPeerGroups:
    """Stands for running servers: records measurements, fails at the pace `broken`."""

    def __init__(
        self, *, broken: Pace | None = None, wrong: str = "", at_rest: bool = True
    ) -> None:
        self.measured: list[tuple[Pace, str, int, int]] = []
        self._broken = broken
        self._wrong = wrong
        self._at_rest = at_rest

    @asynccontextmanager
    async def open(
        self, names: tuple[str, ...], *, pace: Pace, seconds: float
    ) -> AsyncIterator[SimpleNamespace]:
        assert seconds > 0
        if pace == self._broken:
            raise BenchmarkError("litellm was not ready")

        async def measure(peer: SimpleNamespace, *, clients: int, tokens: int) -> Measurement:
            self.measured.append((pace, peer.name, clients, tokens))
            failures = ("wrong",) if peer.name == self._wrong else ()
            return measurement(
                peer.name, clients=clients, tokens=tokens, pace=pace, failures=failures
            )

        async def warm_up(*, clients: int) -> None:
            assert clients == 16
            assert not any(done == pace for done, *_ in self.measured)

        running = [SimpleNamespace(name=name) for name in dict.fromkeys((MOCK, *names))]
        yield SimpleNamespace(
            running=running, measure=measure, warm_up=warm_up, at_rest=self._at_rest
        )


def plan(*peers: str) -> Plan:
    return Plan(peers=peers, clients=(1, 16), tokens=(16,), paces=(FULL, SLOW), seconds=1.0)


async def _run(
    groups: StubPeerGroups, monkeypatch: pytest.MonkeyPatch, *peers: str
) -> tuple[cells.Results, list[str]]:
    monkeypatch.setattr(cells, "open_peer_group", groups.open)
    said: list[str] = []
    return await cells.run(plan(*peers), said.append), said


async def test_run_measures_every_peer_in_every_cell_in_changing_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups = StubPeerGroups()
    results, said = await _run(groups, monkeypatch, MOCK, LITELLM_2)
    assert groups.measured[:4] == [
        (FULL, MOCK, 1, 16),
        (FULL, LITELLM_2, 1, 16),
        (FULL, LITELLM_2, 16, 16),
        (FULL, MOCK, 16, 16),
    ]
    assert {pace for pace, *_ in groups.measured} == {FULL, SLOW}
    assert len(results.measurements) == 8
    assert results.long_answers == []
    assert results.failures == []
    assert len(said) == 8 + 2


async def test_run_measures_the_mock_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = StubPeerGroups()
    await _run(groups, monkeypatch, LITELLM_2)
    assert {peer for _, peer, *_ in groups.measured} == {LITELLM_2}


async def test_run_measures_long_answers_of_axon_and_the_mock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results, _ = await _run(StubPeerGroups(), monkeypatch, AXON)
    assert [(one.peer, one.cell.tokens, one.cell.pace) for one in results.long_answers] == [
        (MOCK, LONG_TOKENS, LONG_PACE),
        (AXON, LONG_TOKENS, LONG_PACE),
    ]


async def test_run_continues_with_other_paces_after_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results, said = await _run(StubPeerGroups(broken=FULL), monkeypatch, AXON)
    assert results.failures == ["litellm was not ready"]
    assert {one.cell.pace for one in results.measurements} == {SLOW}
    assert results.long_answers
    assert "FAILED litellm was not ready" in said


async def test_run_reports_wrong_answers_and_busy_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    results, said = await _run(StubPeerGroups(wrong=AXON, at_rest=False), monkeypatch, AXON)
    assert len(results.failures) == 4 + 1
    assert results.failures[0] == f"{AXON}, 1 clients, 16 tokens, full speed: wrong"
    assert len(results.warnings) == 2
    assert sum(line.startswith("FAILED") for line in said) == 5
