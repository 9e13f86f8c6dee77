import asyncio

from front.socket.lanes import Lanes
from tests.support import virtual_time


def test_lanes_give_turns_in_the_order_of_the_places() -> None:
    async def run() -> list[str]:
        lanes, order = Lanes(), list[str]()

        async def answer(name: str, lane: str | None, ready_s: float) -> None:
            place = lanes.take(lane)
            await asyncio.sleep(ready_s)
            await place.turn()
            order.append(name)
            await asyncio.sleep(1)
            place.leave()

        asking = [("a1", "a", 5.0), ("a2", "a", 0.0), ("b1", "b", 0.0), ("none", None, 1.0)]
        async with asyncio.TaskGroup() as group:
            for each in asking:
                group.create_task(answer(*each))
        return order

    assert virtual_time.run(run()) == ["b1", "none", "a1", "a2"]


async def test_lanes_forget_those_whose_answers_were_sent() -> None:
    lanes = Lanes()
    for number in range(50):
        lanes.take(str(number)).leave()
    waiting = lanes.take("waits")
    assert set(lanes._last) == {"49", "waits"} or set(lanes._last) == {"waits"}
    waiting.leave()
    await lanes.take("waits").turn()
