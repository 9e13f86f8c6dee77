import pytest

from axon.exceptions import AxonError, PermanentRefusalError, UnavailableError
from axon.history import HistoryRecord, NotedHistorySender, version_of
from axon.testing.stores import FakeHistory, FakePendingHistory
from tests.unit.axon.samples import a_job


def test_version_of_a_later_attempt_is_newer() -> None:
    assert version_of(epoch=2, sequence_number=3) > version_of(epoch=1, sequence_number=2**32 - 1)
    assert version_of(epoch=1, sequence_number=4) > version_of(epoch=1, sequence_number=3)


def test_history_record_has_what_its_job_has() -> None:
    job = a_job(previous_response_id="resp_0", input="What?")
    response = job.response | {"status": "completed"}
    record = HistoryRecord.of(job, response=response, version=7, ended_ms=9)
    assert record.response_id == job.response_id
    assert record.previous_response_id == "resp_0"
    assert record.conversation_id == job.conversation_id
    assert record.tenant_id == job.tenant_id
    assert record.key_id == job.key_id == "key_1"
    assert record.created_ms == job.created_ms
    assert record.input == [{"type": "message", "role": "user", "content": "What?"}]
    assert HistoryRecord.model_validate_json(record.model_dump_json()) == record


def test_history_record_from_before_keys_were_recorded_has_none() -> None:
    job = a_job()
    record = HistoryRecord.of(job, response=job.response, version=7, ended_ms=9)
    assert HistoryRecord.model_validate(record.model_dump(exclude={"key_id"})).key_id == ""


class TestNotedHistorySender:
    async def test_notes_a_record_that_is_on_its_way(self) -> None:
        history, pending = FakeHistory(), FakePendingHistory()
        record = a_record()
        await NotedHistorySender(sender=history, pending=pending).send(record)
        assert history.records == {record.response_id: record}
        assert pending.tenants == {record.response_id: record.tenant_id}

    @pytest.mark.parametrize(
        ("error", "noted"),
        [(UnavailableError("away"), True), (PermanentRefusalError("refused"), False)],
    )
    async def test_keeps_its_note_only_if_the_record_may_have_been_sent(
        self, error: AxonError, noted: bool
    ) -> None:
        history, pending = FakeHistory(), FakePendingHistory()
        history.fail_with = error
        with pytest.raises(type(error)):
            await NotedHistorySender(sender=history, pending=pending).send(a_record())
        assert bool(pending.tenants) is noted

    async def test_notes_no_failed_response_for_nothing_continues_it(self) -> None:
        history, pending = FakeHistory(), FakePendingHistory()
        record = a_record(status="failed")
        await NotedHistorySender(sender=history, pending=pending).send(record)
        assert history.records
        assert not pending.tenants


def a_record(*, status: str = "completed") -> HistoryRecord:
    job = a_job()
    return HistoryRecord.of(job, response=job.response | {"status": status}, version=1, ended_ms=9)
