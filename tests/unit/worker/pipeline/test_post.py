from dataclasses import replace

from tests.unit.worker.attempt.attempt_harness import Workplace, attempt, text_of
from tests.unit.worker.scripted_engine import ScriptedEngine
from worker.pipeline.post import PostProcessor, Unchanged, post
from worker.pipeline.stream import Flush


class Hiding(PostProcessor):
    def __init__(self, *words: str) -> None:
        self._words = words

    async def process(self, text: str) -> str:
        for word in self._words:
            text = text.replace(word, "")
        return text


async def test_token_ids_and_the_finish_reason_stay() -> None:
    flush = Flush("my secret", (1, 2), "stop")
    assert await post(flush, Unchanged()) == flush
    assert await post(flush, Hiding("secret")) == Flush("my ", (1, 2), "stop")


async def test_the_client_and_the_history_get_what_is_left(world: Workplace) -> None:
    job = await world.job()
    engine = ScriptedEngine(["my ", "secret", " is", " safe"], token_s=0.001)
    services = replace(world.services(engine), post_processor=Hiding("secret", "my "))
    await attempt(job, services)
    decoded = await world.answered(job)
    assert text_of(decoded) == " is safe"
    assert decoded[-1]["response"]["usage"]["output_tokens"] == 4
    logged = await world.valkey.read(job.response_id)
    assert [id_ for event in logged for id_ in event.token_ids] == [100, 101, 102, 103]
    for stage in ("post", "stream"):
        processed = world.told("axon_requests_processed_total", stage=stage)
        assert processed == world.told("axon_stage_latency_seconds_count", stage=stage)
        assert processed
        assert processed > 1
    for stage in ("retrieve", "assemble", "infer"):
        assert world.told("axon_requests_processed_total", stage=stage) == 1
