"""The directory of workers and the choice of a peer: one contract for Valkey and the fake."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
import redis

from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.keys import worker as channel_of
from axon.adapters.valkey.workers import HandedOver, ValkeyWorkerDirectory
from axon.directory.workers import ModelState, ModelStatus, WorkerDirectory, WorkerState
from axon.jobs import ReceivedJob
from axon.testing.worker_directory import FakeWorkerDirectory
from tests.contract.conftest import Kind, RepeatingValkey
from tests.support.clients import valkey_client

WORKERS = ("w1", "w2", "w3", "w4")
RECEIVED = ReceivedJob(
    body='{"text": "wörld 🌍\\n\\u0000"}',
    receipt_handle="receipt",
    receive_count=2,
    message_id="message",
    trace_header="Root=1-1-1;Sampled=1",
)
MODELS = (
    ModelStatus("echo", ModelState.SERVING),
    ModelStatus("big 🌍", ModelState.FAILED, version=7, reason="no room"),
)


@dataclass(frozen=True, kw_only=True)
class WorkerDirectoryHarness:
    """A directory. All of `WORKERS` listen; `handed_over` returns what came since."""

    directory: WorkerDirectory
    handed_over: Callable[[], list[tuple[str, ReceivedJob]]]
    seconds: Callable[[float], Awaitable[None]]
    disconnect: Callable[[str], None]

    async def register_loads(self, *loads: int, lease_s: float = 600) -> None:
        """Register w1, w2 and so on with these loads."""
        for worker_id, load in zip(WORKERS, loads, strict=False):
            await self.directory.register(a_worker(worker_id, load=load), lease_s=lease_s)

    async def loads(self) -> list[int]:
        return [worker.load for worker in await self.directory.list()]

    async def hand_over(
        self, order: Sequence[str], *, own_id: str = "w1", bounded: bool = True, number: int = 0
    ) -> str:
        job = replace(RECEIVED, message_id=f"message-{number}") if number else RECEIVED
        return await self.directory.hand_over(job, own_id=own_id, order=order, bounded=bounded)


def a_worker(worker_id: str, *, load: int = 0) -> WorkerState:
    return WorkerState(worker_id=worker_id, slots=8, load=load, models=MODELS)


@contextmanager
def listening(url: str) -> Iterator["redis.client.PubSub"]:
    with redis.Redis.from_url(url) as admin, admin.pubsub() as subscriber:
        subscriber.subscribe(*map(channel_of, WORKERS))
        received(subscriber)
        yield subscriber


def received(subscriber: "redis.client.PubSub") -> list[tuple[str, ReceivedJob]]:
    """Return the jobs received so far: the server answers a ping after all earlier messages."""
    subscriber.ping()
    found: list[tuple[str, ReceivedJob]] = []
    while True:
        message = subscriber.get_message(timeout=5)
        assert message is not None
        if message["type"] == "pong":
            return found
        if message["type"] == "message":
            worker_id = message["channel"].decode().removeprefix("axon:worker:")
            found.append((worker_id, HandedOver.decode(message["data"]).received))


def disconnect(subscriber: "redis.client.PubSub", worker_id: str) -> None:
    unsubscribe: Callable[[str], None] = subscriber.unsubscribe
    unsubscribe(channel_of(worker_id))


@pytest.fixture
async def harness(
    kind: Kind, request: pytest.FixtureRequest
) -> AsyncIterator[WorkerDirectoryHarness]:
    if kind == "fake":
        yield fake_harness()
        return
    url: str = request.getfixturevalue("valkey_url")
    make = RepeatingValkey if kind == "repeated" else Valkey
    async with valkey_client(url, make=make) as valkey:
        with listening(url) as subscriber:
            yield WorkerDirectoryHarness(
                directory=ValkeyWorkerDirectory(valkey=valkey),
                handed_over=lambda: received(subscriber),
                seconds=asyncio.sleep,
                disconnect=lambda worker_id: disconnect(subscriber, worker_id),
            )


def fake_harness() -> WorkerDirectoryHarness:
    now = 1000.0

    async def seconds(count: float) -> None:
        nonlocal now
        now += count

    def handed_over() -> list[tuple[str, ReceivedJob]]:
        taken = list(directory.handed_over)
        directory.handed_over.clear()
        return taken

    directory = FakeWorkerDirectory(clock=lambda: now)
    return WorkerDirectoryHarness(
        directory=directory,
        handed_over=handed_over,
        seconds=seconds,
        disconnect=directory.disconnected.add,
    )


class TestWorkerDirectoryRegister:
    async def test_lists_live_workers_by_id(self, harness: WorkerDirectoryHarness) -> None:
        assert await harness.directory.list() == []
        for worker_id in ("w2", "w1"):
            await harness.directory.register(a_worker(worker_id, load=3))
        assert await harness.directory.list() == [a_worker("w1", load=3), a_worker("w2", load=3)]

    async def test_replaces_the_state_of_a_worker(self, harness: WorkerDirectoryHarness) -> None:
        await harness.register_loads(3)
        later = WorkerState(worker_id="w1", slots=2, load=1, models=())
        await harness.directory.register(later)
        assert await harness.directory.list() == [later]

    async def test_lists_no_worker_whose_lease_has_ended(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        await harness.register_loads(0, 0)
        await harness.directory.register(a_worker("w2"), lease_s=0.02)
        await harness.seconds(0.05)
        assert [worker.worker_id for worker in await harness.directory.list()] == ["w1"]
        await harness.register_loads(0)  # removes workers whose lease has ended
        assert [worker.worker_id for worker in await harness.directory.list()] == ["w1"]

    async def test_accepts_a_removed_worker_again(self, harness: WorkerDirectoryHarness) -> None:
        await harness.register_loads(0, 0)
        for _ in range(2):
            await harness.directory.remove("w1")
        assert [worker.worker_id for worker in await harness.directory.list()] == ["w2"]
        await harness.register_loads(5)
        assert await harness.loads() == [5, 0]

    async def test_sets_the_load_of_a_worker(self, harness: WorkerDirectoryHarness) -> None:
        await harness.register_loads(0, 0)
        await harness.directory.note_load("w2", 7)
        assert await harness.loads() == [0, 7]

    async def test_ignores_the_load_of_an_unknown_worker(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        await harness.register_loads(0)
        await harness.directory.note_load("w2", 7)
        await harness.directory.remove("w1")
        await harness.directory.note_load("w1", 7)
        assert await harness.directory.list() == []


async def test_worker_directory_leaves_no_key_without_an_expiry(valkey_url: str) -> None:
    async with valkey_client(valkey_url) as valkey:
        directory = ValkeyWorkerDirectory(valkey=valkey)
        with listening(valkey_url):
            await directory.register(a_worker("w1"))
            assert await directory.hand_over(RECEIVED, own_id="w2", order=["w1"]) == "w1"
        await directory.note_load("w1", 2)
        lives = [await valkey.call("TTL", key) for key in await valkey.call("KEYS", "*")]
        assert len(lives) == 3
        assert all(0 < life <= 3600 for life in lives)


class TestWorkerDirectoryHandOver:
    async def test_delivers_the_whole_job_and_counts_it(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        await harness.register_loads(1, 0)
        assert await harness.hand_over(["w2", "w1"]) == "w2"
        assert harness.handed_over() == [("w2", replace(RECEIVED, forwarded=True))]
        assert await harness.loads() == [1, 1]

    async def test_delivers_a_job_without_a_trace_header(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        await harness.register_loads(1, 0)
        job = ReceivedJob(body="", receipt_handle="r", receive_count=1, message_id="m")
        await harness.directory.hand_over(job, own_id="w1", order=["w2", "w1"])
        assert harness.handed_over() == [("w2", replace(job, forwarded=True))]

    async def test_keeps_the_job_if_the_own_id_comes_first(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        await harness.register_loads(9, 0)
        assert await harness.hand_over(["w1", "w2"]) == "w1"
        assert harness.handed_over() == []
        assert await harness.loads() == [9, 0]

    async def test_keeps_the_job_without_an_order(self, harness: WorkerDirectoryHarness) -> None:
        assert await harness.hand_over([]) == "w1"

    async def test_skips_a_worker_without_room(self, harness: WorkerDirectoryHarness) -> None:
        # 1 + 2 + 0 jobs of 3 workers: no more than 2 each.
        await harness.register_loads(1, 2, 0)
        assert await harness.hand_over(["w2", "w3", "w1"]) == "w3"
        assert await harness.loads() == [1, 2, 1]

    async def test_fills_a_worker_to_its_bound_and_no_further(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        await harness.register_loads(4, 0)
        taken = [await harness.hand_over(["w2", "w1"], number=number) for number in range(1, 5)]
        # 4 + n jobs of 2 workers: no more than 3, then 4, 4 and 5 each.
        assert taken == ["w2", "w2", "w2", "w2"]
        await harness.directory.note_load("w1", 1)
        # 1 + 4 jobs: no more than 4 each.
        assert await harness.hand_over(["w2", "w1"], number=5) == "w1"

    async def test_keeps_the_job_if_no_earlier_worker_has_room(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        await harness.register_loads(1, 3, 0)
        assert await harness.hand_over(["w2", "w1", "w3"]) == "w1"

    async def test_hands_over_the_job_of_an_overloaded_worker(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        # 6 + 4 + 0 jobs: no more than 5 each.
        await harness.register_loads(6, 5, 0)
        assert await harness.hand_over(["w2", "w1", "w3"]) == "w3"

    async def test_counts_the_job_that_is_not_in_the_load_yet(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        await harness.register_loads(0, 0)
        assert await harness.hand_over(["w2", "w1"]) == "w2"

    async def test_skips_a_worker_without_a_free_slot(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        # 8 + 8 jobs: no more than 10 each; but a worker has 8 slots.
        await harness.register_loads(8, 8)
        assert await harness.hand_over(["w2", "w1"]) == "w1"
        await harness.directory.note_load("w2", 7)
        assert await harness.hand_over(["w2", "w1"]) == "w2"

    async def test_hands_over_to_the_first_worker_without_a_bound(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        await harness.register_loads(1, 50, 0)
        assert await harness.hand_over(["w2", "w3"], bounded=False) == "w2"

    async def test_finds_room_among_the_workers_of_the_order(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        await harness.register_loads(9, 3, 3, 3)  # w1 cannot run it
        assert await harness.hand_over(["w3", "w2", "w4"]) == "w3"

    async def test_skips_a_disconnected_worker(self, harness: WorkerDirectoryHarness) -> None:
        await harness.register_loads(1, 0, 0)
        harness.disconnect("w2")
        assert await harness.hand_over(["w2", "w3", "w1"]) == "w3"
        harness.disconnect("w3")
        assert await harness.hand_over(["w2", "w3", "w1"], number=1) == "w1"
        assert await harness.loads() == [1, 0, 1]

    async def test_skips_a_worker_that_is_not_registered(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        await harness.register_loads(1, 0)
        await harness.directory.register(a_worker("w3"), lease_s=0.02)
        await harness.seconds(0.05)
        assert await harness.hand_over(["w3", "w4", "w2", "w1"]) == "w2"

    async def test_accepts_a_job_of_an_unregistered_worker(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        await harness.register_loads(0, 0)
        assert await harness.hand_over(["w2", "w4"], own_id="w4") == "w2"

    async def test_keeps_the_job_if_no_worker_can_take_it(
        self, harness: WorkerDirectoryHarness
    ) -> None:
        assert await harness.hand_over(["w2", "w3"]) == "w1"
        assert harness.handed_over() == []


class TestWorkerDirectoryRepeatedHandOver:
    async def test_publishes_the_job_once(
        self, harness: WorkerDirectoryHarness, request: pytest.FixtureRequest
    ) -> None:
        if "fake" in request.node.callspec.id:
            pytest.skip("the fake loses no answers")
        await harness.register_loads(1, 0, 0)
        assert await harness.hand_over(["w2", "w3", "w1"]) == "w2"
        assert await harness.hand_over(["w3", "w2", "w1"]) == "w2"
        assert len(harness.handed_over()) == 1
        assert await harness.loads() == [1, 1, 0]
        again = replace(RECEIVED, receive_count=3)
        await harness.directory.hand_over(again, own_id="w1", order=["w3", "w1"])
        assert len(harness.handed_over()) == 1


@pytest.mark.parametrize("payload", [b"", b"x", b"1\n", b"1\n{}", b"x\n{}", b"1\n[]"])
def test_handed_over_job_refuses_other_data(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        HandedOver.decode(payload)
