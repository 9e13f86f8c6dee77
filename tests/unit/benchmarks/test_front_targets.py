from benchmarks.front_targets import evaluate
from benchmarks.peers import AGENTIC, AXON_FRONT, AXON_SSE, LITELLM_2
from tests.unit.benchmarks.measurement_samples import SLOW, measurement


def run(*, per_s: float = 100.0, p50: float = 4.9, p99: float = 9.0) -> list[bool | None]:
    measured = [
        measurement(AXON_FRONT, p50=4.0),
        measurement(AXON_SSE, p50=p50),
        measurement(AXON_SSE, clients=16, pace=SLOW, p99=p99),
        measurement(AGENTIC, clients=16, pace=SLOW, p99=10.0),
    ]
    for tokens in (16, 128):
        measured += [
            measurement(AXON_SSE, clients=64, tokens=tokens, per_s=per_s, cpu_s={"front": 1.5}),
            measurement(
                AGENTIC, clients=64, tokens=tokens, per_s=200.0, cpu_s={"agentic-api": 4.0}
            ),
            measurement(LITELLM_2, clients=64, tokens=tokens, per_s=5.0),
        ]
    return [aim.met for aim in evaluate(measured)]


def test_targets_are_all_met_at_their_limits() -> None:
    assert run() == [True] * 8


def test_targets_are_each_missed() -> None:
    assert run(p50=5.0)[0] is False
    assert run(p99=10.0)[1] is False
    assert run(per_s=99.0)[3:8:3] == [False, False], "half of agentic-api's"
    assert run(per_s=24.0)[4:8:3] == [False, False], "times LiteLLM's"


def test_target_of_cpu_counts_own_processes_alone() -> None:
    def cpu(axon: dict[str, float]) -> bool | None:
        measured = [
            measurement(AXON_SSE, clients=64, tokens=16, cpu_s=axon),
            measurement(AGENTIC, clients=64, tokens=16, cpu_s={"agentic-api": 1.0, "mock": 9.0}),
        ]
        return evaluate(measured)[2].met

    assert cpu({"front": 1.0, "worker-0": 1.0, "lambda": 0.5, "valkey": 9.0, "fauxqs": 9.0}) is True
    assert cpu({"front": 1.0, "worker-0": 1.6}) is False


def test_targets_without_measurements_are_neither_met_nor_missed() -> None:
    assert {aim.met for aim in evaluate([])} == {None}
