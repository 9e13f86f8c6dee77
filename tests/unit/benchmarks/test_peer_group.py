import math

from benchmarks.model import Pace
from benchmarks.peer_group import open_peer_group
from benchmarks.peers import MOCK


async def test_peer_group_measures_the_mock_from_another_process() -> None:
    pace = Pace(ttft_ms=10, token_ms=1)
    async with open_peer_group([MOCK], pace=pace, seconds=0.3) as group:
        (mock,) = group.running
        await group.warm_up(clients=2)
        one = await group.measure(mock, clients=4, tokens=4)
        assert one.load.failures == []
        assert set(one.cpu_s) == {MOCK}
        assert not math.isnan(one.added_p50_ms)
        assert one.requests_per_s > 1
        assert one.cell.pace == pace
        wrong = await group.measure(mock, clients=1, tokens=-1)
        assert "WrongAnswerError" in wrong.load.failures[0]
    gone = await group.measure(mock, clients=1, tokens=1)
    assert gone.load.failures
    assert gone.cpu_s == {}
