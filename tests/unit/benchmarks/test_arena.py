import math

from benchmarks.arena import open_arena
from benchmarks.model import Pace
from benchmarks.peers import MOCK


async def test_the_mock_is_measured_by_a_process_of_its_own() -> None:
    pace = Pace(ttft_ms=10, token_ms=1)
    async with open_arena([MOCK], pace=pace, seconds=0.3) as arena:
        (mock,) = arena.running
        await arena.warm_up(clients=2)
        one = await arena.measure(mock, clients=4, tokens=4)
        assert one.load.failures == []
        assert set(one.cpu_s) == {MOCK}
        assert not math.isnan(one.added_p50_ms)
        assert one.requests_per_s > 1
        assert one.cell.pace == pace
        wrong = await arena.measure(mock, clients=1, tokens=-1)
        assert "WrongAnswerError" in wrong.load.failures[0]
    gone = await arena.measure(mock, clients=1, tokens=1)
    assert gone.load.failures
    assert gone.cpu_s == {}
