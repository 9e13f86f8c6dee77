"""Token buckets of wrong keys: the fake and Valkey."""

import pytest

from axon.adapters.valkey.api_keys import ValkeyWrongKeys
from axon.adapters.valkey.client import Valkey
from axon.tenants.wrong_keys import BURST, INTERVAL_S, WrongKeys
from axon.testing.api_keys import FakeWrongKeys
from tests.contract.conftest import Kind


@pytest.fixture
def wrong_keys(kind: Kind, request: pytest.FixtureRequest) -> WrongKeys:
    if kind == "fake":
        return FakeWrongKeys()
    return ValkeyWrongKeys(valkey=request.getfixturevalue("valkey"))


async def test_wrong_keys_of_an_address_are_bounded(wrong_keys: WrongKeys) -> None:
    for _ in range(BURST):
        assert await wrong_keys.wait_s("192.0.2.1") == 0
        await wrong_keys.count("192.0.2.1")
    assert await wrong_keys.wait_s("192.0.2.2") == 0
    # Those who looked at the same time, before any was counted, make the wait no longer.
    for _ in range(5 * BURST):
        await wrong_keys.count("192.0.2.1")
    assert 0 < await wrong_keys.wait_s("192.0.2.1") <= INTERVAL_S


async def test_wrong_keys_are_forgotten_when_the_bucket_is_full_again(valkey: Valkey) -> None:
    wrong_keys = ValkeyWrongKeys(valkey=valkey)
    await wrong_keys.count("192.0.2.1")
    assert 0 < await valkey.call("TTL", "axon:wrong-keys:192.0.2.1") <= INTERVAL_S
    for _ in range(5 * BURST):
        await wrong_keys.count("192.0.2.1")
    assert await valkey.call("TTL", "axon:wrong-keys:192.0.2.1") <= BURST * INTERVAL_S
