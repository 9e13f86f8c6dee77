import asyncio

from axon.event_log.log import LoggedEvent, Status
from tests.support.sdk_events import validate_stream
from tests.unit.axon.samples import a_job
from worker.sagemaker.answer_log import AnswerLog


async def followed(log: AnswerLog) -> list[LoggedEvent]:
    return [event async for event in log.follow()]


async def test_answer_log_ends_with_the_text_that_it_holds() -> None:
    job = a_job()
    log, transcript = AnswerLog(job), job.transcript()
    transcript.created()
    await log.claim(job.response_id, in_progress=transcript.in_progress().data)
    await log.append(job.response_id, epoch=1, events=transcript.delta("Hel", [1]))
    following = asyncio.create_task(followed(log))
    await asyncio.sleep(0)
    await log.end(job.response_id, Status.FAILED, error={"code": "server_error", "message": "x"})
    decoded = validate_stream(await following)
    assert decoded[-1]["response"]["output"][0]["content"][0]["text"] == "Hel"


async def test_answer_log_ends_once() -> None:
    job = a_job()
    log = AnswerLog(job)
    for _ in range(2):
        await log.end(job.response_id, Status.FAILED, error={"code": "server_error", "message": ""})
    assert len(validate_stream(await followed(log))) == 2


async def test_answer_log_without_an_end_releases_its_follower() -> None:
    log = AnswerLog(a_job())
    following = asyncio.create_task(followed(log))
    await asyncio.sleep(0)
    log.close()
    assert len(await following) == 1
