"""Reads samples with the version of Axon that runs it: `python format_reads.py URL < SAMPLES`.

The interpreter of the version before runs it on what today's code has written, so it uses only what
both have. An exception says what cannot be read.
"""

import asyncio
import json
import sys
from typing import Any

from axon.adapters.valkey.caches import ValkeyPrincipalCache, ValkeyTurnCache
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyRelayDirectory
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.workers import HandedOver, ValkeyWorkerDirectory
from axon.conversations import Turn
from axon.event_log.log import LoggedEvent, Status
from axon.event_log.publication import Publication
from axon.history import HistoryRecord
from axon.jobs import Job, ReceivedJob


def read_messages(samples: dict[str, Any]) -> Job:
    """Read what goes through queues and channels; return the job."""
    job = Job.decode(samples["job"])
    assert Job.decode(samples["sqs_job"]["MessageBody"]) == job
    assert Job.decode(ReceivedJob.decode(samples["received_job"].encode()).body) == job
    record = HistoryRecord.model_validate_json(samples["history_record"])
    (entry,) = samples["sqs_history"]["Entries"]
    assert HistoryRecord.model_validate_json(entry["MessageBody"]) == record
    assert Turn.decode(samples["turn"].encode()).response_id == job.response_id
    *published, handed_over = [text.encode() for text in samples["published"]]
    assert [Publication.decode(each).granted for each in published].count(True) == 2
    assert Job.decode(HandedOver.decode(handed_over).received.body) == job
    return job


async def read_keys(url: str, job: Job) -> None:
    """Read what is in Valkey, and go on with the response that runs there."""
    valkey = Valkey(url)
    try:
        (worker,) = await ValkeyWorkerDirectory(valkey=valkey).list()
        assert worker.slots == 8
        cached: Any = await ValkeyPrincipalCache(valkey=valkey, ttl_s=60).get("key-hash")
        # The version before returns the principal itself.
        assert getattr(cached, "principal", cached) == job.principal
        assert len(await ValkeyTurnCache(valkey=valkey, ttl_s=60).chain(job.response_id)) == 1
        await _continue(valkey, job)
    finally:
        await valkey.close()


def _deadlines() -> dict[str, Any]:
    """Return the deadlines as the version that runs this takes them."""
    try:
        from axon.deadlines import Deadlines
    except ImportError:
        return {"deadline_s": 600}
    return {"deadlines": Deadlines()}


async def _continue(valkey: Valkey, job: Job) -> None:
    log = ValkeyEventLog(valkey=valkey, retention_s=300, resume_window_s=60, **_deadlines())
    meta = await log.describe(job.response_id)
    assert meta is not None
    assert (meta.next_sequence, meta.checkpoint.certain) == (4, False)
    assert Job.decode(meta.job) == job
    assert [event.token_ids for event in await log.read(job.response_id, after=1)] == [(7, 8), ()]
    assert len(await log.read_journal(job.response_id)) == 1
    claim = await log.claim(job.response_id, message_id="message-2")
    assert (claim.next_sequence, claim.next_record) == (4, 1)
    relays = ValkeyRelayDirectory(valkey=valkey)
    await relays.end_lease(meta.relay_id)
    assert len(await relays.take_over(meta.relay_id, successor_id="relay-1")) == 2
    event = LoggedEvent(4, b'{"n":4}')
    await log.append(job.response_id, epoch=claim.epoch, events=[event], status=Status.COMPLETED)


if __name__ == "__main__":
    asyncio.run(read_keys(sys.argv[1], read_messages(json.load(sys.stdin))))
