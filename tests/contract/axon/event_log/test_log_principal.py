"""The principal of a response in the event log, on the fake and the real one."""

from dataclasses import replace

import pytest

from axon.adapters.valkey.client import Valkey
from tests.contract.axon.event_log.event_log_samples import NEW, described
from tests.contract.conftest import EventLogHarness


async def test_event_log_keeps_the_key_that_opened_a_response(harness: EventLogHarness) -> None:
    await harness.log.open(replace(NEW, key_id="key_7"))
    await harness.log.claim("resp_1")
    assert (await described(harness.log)).key_id == "key_7"


async def test_event_log_keeps_the_key_of_a_resumed_response(harness: EventLogHarness) -> None:
    await harness.log.open(NEW)
    await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=0)
    assert (await described(harness.log)).key_id == "key_1"


async def test_event_log_describes_a_response_without_a_key(harness: EventLogHarness) -> None:
    await harness.log.open(replace(NEW, key_id=""))
    assert (await described(harness.log)).key_id == ""


@pytest.mark.parametrize("kind", ["real"])
async def test_event_log_describes_a_response_opened_before_keys_were_recorded(
    harness: EventLogHarness, valkey: Valkey
) -> None:
    await harness.log.open(NEW)
    await valkey.call("HDEL", "axon:response:resp_1", "key_id")
    assert (await described(harness.log)).key_id == ""
