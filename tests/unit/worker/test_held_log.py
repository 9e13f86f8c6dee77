"""HeldLog: repairs of a log that are cut off."""

from collections.abc import Sequence
from typing import Any

import pytest

from axon.event_log.log import LoggedEvent, Status
from axon.protocol.objects import Usage
from tests.unit.worker.test_event_writer import EventWriterHarness


class KilledError(BaseException):
    """The worker's SIGKILL, as its code sees it: nothing after it runs."""


@pytest.mark.parametrize("whole", [True, False])
async def test_held_log_is_unsure_where_its_repair_was_cut_off(
    whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has the end, so the next one to claim the log must not make another one."""
    harness = EventWriterHarness()
    await harness.open()
    writer = harness.writer()
    transcript = await writer.claim(untouched=True)
    await writer.append(transcript.delta("one ", [1]))
    before = harness.log.snapshot()
    await writer.append(transcript.delta("two", [2]))
    end = [*transcript.close_message(), transcript.end(Status.COMPLETED, usage=Usage(1, 2))]
    await writer.append(end, status=Status.COMPLETED)
    await (harness.lose() if whole else harness.rewind(before))
    append = harness.log.append

    async def killed_at_the_end(
        response_id: str, *, events: Sequence[LoggedEvent], status: Status, **options: Any
    ) -> str:
        connection = await append(response_id, events=events, status=status, **options)
        if status.terminal:
            raise KilledError
        return connection

    async def killed_before_the_end(
        response_id: str, *, events: Sequence[LoggedEvent], status: Status, **options: Any
    ) -> str:
        meta = await harness.log.describe(response_id)
        if meta and status.terminal and meta.next_sequence == events[0].sequence_number:
            raise KilledError
        return await append(response_id, events=events, status=status, **options)

    monkeypatch.setattr(harness.log, "append", killed_before_the_end)
    with pytest.raises(KilledError):
        await writer.repeat_end(Status.COMPLETED)
    meta = await harness.log.describe(harness.job.response_id)
    assert meta is not None
    assert (meta.next_sequence, meta.incomplete) == (len(writer.events) - 1, True)
    monkeypatch.setattr(harness.log, "append", killed_at_the_end)
    with pytest.raises(KilledError):
        await writer.repeat_end(Status.COMPLETED)
    meta = await harness.log.describe(harness.job.response_id)
    assert meta is not None
    assert (meta.status, meta.incomplete) == (Status.COMPLETED, False)
