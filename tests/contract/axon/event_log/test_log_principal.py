"""The principal of a response in the event log, on the fake and the real one."""

from dataclasses import replace

import pytest

from axon.adapters.valkey.api_keys import ValkeyOpenConnections
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.event_log.openings import OpenResult
from axon.testing.event_log import FakeValkey
from tests.contract.axon.event_log.event_log_samples import NEW, described
from tests.contract.conftest import EventLogHarness


async def test_event_log_keeps_the_key_that_opened_a_response(harness: EventLogHarness) -> None:
    await harness.log.open(replace(NEW, key_id="key_7"))
    await harness.log.claim("resp_1")
    assert (await described(harness.log)).key_id == "key_7"


async def test_event_log_opens_and_repeats_nothing_for_a_revoked_key(
    harness: EventLogHarness,
) -> None:
    new = replace(NEW, key_id="key_7", idempotency="digest", fingerprint="one")
    assert (await harness.log.open(new)).opened
    await revoke(harness, "key_7")
    another = replace(new, response_id="resp_2")
    for key_id, outcome in (("key_7", OpenResult.REVOKED), ("key_8", OpenResult.REPEATED)):
        opening = await harness.log.open(replace(another, key_id=key_id))
        repeated = await harness.log.repeated(
            "digest", fingerprint="one", connection_id="c1", lane="", key_id=key_id
        )
        assert repeated is not None
        assert (opening.outcome, repeated.outcome) == (outcome, outcome)
    assert await harness.log.describe("resp_2") is None


async def revoke(harness: EventLogHarness, key_id: str) -> None:
    if isinstance(harness.log, FakeValkey):
        harness.log.revoked_keys.add(key_id)
    else:
        assert isinstance(harness.log, ValkeyEventLog)
        await ValkeyOpenConnections(valkey=harness.log._valkey).revoke(key_id)


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
