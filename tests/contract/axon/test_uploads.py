"""Budgets of uploads: the fake and Valkey."""

import asyncio

import pytest

from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.uploads import ValkeyUploadBudget
from axon.testing.uploads import FakeUploadBudget
from axon.uploads import BUDGET_BYTES, REFILL_S, UploadBudget
from tests.contract.conftest import Kind


@pytest.fixture
def budget(kind: Kind, request: pytest.FixtureRequest) -> UploadBudget:
    if kind == "fake":
        return FakeUploadBudget()
    return ValkeyUploadBudget(valkey=request.getfixturevalue("valkey"))


async def test_upload_budget_is_never_overshot_and_is_a_tenants_own(budget: UploadBudget) -> None:
    part = BUDGET_BYTES // 8
    waits = await asyncio.gather(*(budget.take("t", part) for _ in range(12)))
    assert sorted(waits)[:8] == [0] * 8
    # What is refused takes nothing: an eighth is there again after an eighth of the time.
    assert all(0 < wait_s <= REFILL_S / 8 + 1 for wait_s in sorted(waits)[8:])
    assert await budget.take("other", part) == 0


async def test_upload_budget_is_forgotten_when_it_is_full_again(valkey: Valkey) -> None:
    await ValkeyUploadBudget(valkey=valkey).take("t", BUDGET_BYTES // 4)
    assert REFILL_S / 4 - 5 < await valkey.call("TTL", "axon:uploaded:t") <= REFILL_S / 4 + 1
