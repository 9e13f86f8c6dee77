from dataclasses import replace

from tests.unit.worker.attempt.attempt_harness import AttemptHarness, attempt, text_of
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.pipeline.post import PostProcessor, post
from worker.pipeline.stream import Flush


class Hiding(PostProcessor):
    def __init__(self, *words: str) -> None:
        self._words = words

    async def process(self, text: str) -> str:
        for word in self._words:
            text = text.replace(word, "")
        return text


async def test_post_keeps_token_ids_and_the_finish_reason() -> None:
    flush = Flush("my secret", (1, 2), "stop")
    assert await post(flush, Hiding()) == flush
    assert await post(flush, Hiding("secret")) == Flush("my ", (1, 2), "stop")


async def test_post_changes_the_text_of_the_client_and_the_history(harness: AttemptHarness) -> None:
    job = await harness.job()
    engine = ScriptedEngine(["my ", "secret", " is", " safe"], token_s=0.001)
    context = replace(harness.context(engine), post_processor=Hiding("secret", "my "))
    await attempt(job, context)
    decoded = await harness.answered(job)
    assert text_of(decoded) == " is safe"
    assert decoded[-1]["response"]["usage"]["output_tokens"] == 4
    logged = await harness.valkey.read(job.response_id)
    assert [id_ for event in logged for id_ in event.token_ids] == [100, 101, 102, 103]
    for stage in ("post", "stream"):
        processed = harness.metric("axon_requests_processed_total", stage=stage)
        assert processed == harness.metric("axon_stage_latency_seconds_count", stage=stage)
        assert processed
        assert processed > 1
    for stage in ("retrieve", "assemble", "infer"):
        assert harness.metric("axon_requests_processed_total", stage=stage) == 1


async def test_post_is_not_passed_without_a_processor(harness: AttemptHarness) -> None:
    job = await harness.job()
    await attempt(job, harness.context(ScriptedEngine(["a"])))
    assert text_of(await harness.answered(job)) == "a"
    assert harness.metric("axon_requests_processed_total", stage="post") == 0
    assert harness.metric("axon_requests_processed_total", stage="stream") == 1
