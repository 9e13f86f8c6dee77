import asyncio

import pytest

from worker.engines.protocol import EngineDeadError
from worker.engines.slots import Generation, Slots


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def occupy(slots: Slots, name: str) -> Generation:
    generation = Generation(name)
    await slots.enter(generation)
    return generation


async def queue(slots: Slots, name: str) -> tuple[Generation, asyncio.Task[None]]:
    generation = Generation(name)
    task = asyncio.create_task(slots.enter(generation))
    await settle()
    return generation, task


async def test_slots_are_given_in_the_order_of_arrival() -> None:
    slots = Slots(1)
    holder = await occupy(slots, "a")
    queued = [await queue(slots, name) for name in "bcd"]
    for generation, task in queued:
        assert not task.done()
        slots.leave(holder)
        await task
        assert generation.has_slot
        holder = generation


async def test_slots_let_no_newcomer_overtake() -> None:
    slots = Slots(1)
    holder = await occupy(slots, "a")
    first, _ = await queue(slots, "b")
    slots.leave(holder)
    newcomer, task = await queue(slots, "c")
    assert first.has_slot
    assert not newcomer.has_slot
    task.cancel()


async def test_slots_bound_the_running_generations() -> None:
    slots = Slots(3)
    running = most = 0

    async def work(index: int) -> None:
        nonlocal running, most
        generation = Generation(str(index))
        try:
            await slots.enter(generation)
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
        finally:
            slots.leave(generation)

    await asyncio.gather(*(work(index) for index in range(50)))
    assert most == 3


async def test_slots_forget_a_cancelled_wait() -> None:
    slots = Slots(1)
    holder = await occupy(slots, "a")
    impatient, waiting = await queue(slots, "b")
    patient, _ = await queue(slots, "c")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    slots.leave(impatient)
    slots.leave(holder)
    assert patient.has_slot


async def test_slots_pass_on_a_slot_given_to_a_cancelled_wait() -> None:
    slots = Slots(1)
    holder = await occupy(slots, "a")
    impatient, waiting = await queue(slots, "b")
    patient, _ = await queue(slots, "c")
    waiting.cancel()
    slots.leave(holder)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    slots.leave(impatient)
    assert patient.has_slot


async def test_slots_end_a_waiting_generation() -> None:
    slots = Slots(1)
    await occupy(slots, "a")
    generation, task = await queue(slots, "b")
    slots.end("b")
    await task
    assert not generation.has_slot
    assert not generation.is_running()


async def test_slots_end_only_the_given_request() -> None:
    slots = Slots(2)
    one, other = await occupy(slots, "a"), await occupy(slots, "b")
    slots.end("a")
    slots.end("unknown")
    assert not one.is_running()
    assert other.is_running()


async def test_slots_end_all_generations_with_the_error() -> None:
    slots = Slots(1)
    holder = await occupy(slots, "a")
    _, task = await queue(slots, "b")
    slots.end_all(EngineDeadError("gone"))
    with pytest.raises(EngineDeadError, match="gone"):
        holder.is_running()
    with pytest.raises(EngineDeadError, match="gone"):
        await task


async def test_slots_go_to_the_highest_priority_then_by_arrival() -> None:
    slots = Slots(1)
    holder = await occupy(slots, "a")
    waiting = {}
    for name, priority in (("b", 0), ("c", 5), ("d", -1), ("e", 5)):
        generation = Generation(name, priority=priority)
        waiting[name] = generation, asyncio.create_task(slots.enter(generation))
        await settle()
    has_slot: list[str] = []
    while len(has_slot) < len(waiting):
        slots.leave(holder)
        await settle()
        (name,) = [
            name for name, (_, task) in waiting.items() if task.done() and name not in has_slot
        ]
        has_slot.append(name)
        holder = waiting[name][0]
    assert has_slot == ["c", "e", "b", "d"]
