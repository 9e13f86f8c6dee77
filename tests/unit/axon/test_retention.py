"""RetentionSweep in virtual numbers: turns, batches and the time limit."""

from collections.abc import Sequence

from typing_extensions import override

from axon.retention import Expired, RetentionStore, RetentionSweep, TenantRetention


class RetentionStub(RetentionStore):
    """Batches that are left by tenant; each takes one second."""

    def __init__(self, **batches: int) -> None:
        self.now = 0.0
        self.batches = batches
        self.tombstones = 2
        self.calls: list[str] = []

    @override
    async def tenants(self, *, default_days: int) -> Sequence[TenantRetention]:
        return [TenantRetention(name, default_days) for name in self.batches]

    @override
    async def expire(self, retention: TenantRetention, *, limit: int) -> Expired:
        self.now += 1
        self.calls.append(retention.tenant_id)
        if not self.batches[retention.tenant_id]:
            return Expired()
        self.batches[retention.tenant_id] -= 1
        return Expired(responses=limit, conversations=1)

    @override
    async def forget_tombstones(self, *, days: int, limit: int) -> int:
        self.tombstones -= 1
        return self.tombstones

    @override
    async def set_days(self, tenant_id: str, days: int | None) -> bool:
        return False


def sweep(stub: RetentionStub) -> RetentionSweep:
    return RetentionSweep(store=stub, default_days=30, pause_s=0, clock=lambda: stub.now)


async def test_sweep_ends_when_nothing_is_left() -> None:
    stub = RetentionStub(a=1, b=2)
    expired = await sweep(stub).run(within_s=100)
    assert expired == Expired(responses=1500, conversations=3)
    assert stub.calls == ["a", "b", "a", "b", "b"]
    assert stub.tombstones == 0


async def test_sweep_takes_turns_and_stops_in_time() -> None:
    stub = RetentionStub(large=10_000, small=1)
    expired = await sweep(stub).run(within_s=5)
    assert stub.calls == ["large", "small", "large", "small", "large"]
    assert expired.conversations == 4
    assert stub.tombstones == 2
