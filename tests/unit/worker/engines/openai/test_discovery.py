import logging

import pytest

from tests.unit.worker.engines.openai.upstream_harness import chunks_of, joined, serving
from worker.engines.openai.engine import OpenAiEngine
from worker.engines.openai.upstream import Upstream
from worker.engines.protocol import EngineError, ModelInfo


def info(name: str, window: int) -> ModelInfo:
    return ModelInfo(name, window, window, call_format="hermes")


async def started(up_url: str, **settings: object) -> tuple[ModelInfo, ...]:
    engine = OpenAiEngine(slots=1, upstream=Upstream(url=up_url, **settings))  # type: ignore[arg-type]
    try:
        await engine.start()
        return engine.info().models
    finally:
        await engine.close()


async def test_discovery_lists_the_upstreams_models_with_their_windows() -> None:
    async with serving() as (_, up):
        up.models = [{"id": "a"}, {"id": "b", "max_model_len": 4096}]
        assert await started(up.url, context_window=1000) == (info("a", 1000), info("b", 4096))


async def test_discovery_prefers_the_models_of_the_settings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as (_, up):
        up.models = [{"id": "a"}, {"id": "b", "max_model_len": 4096}]
        with caplog.at_level(logging.WARNING):
            models = await started(up.url, models=("b", "hidden"))
    assert models == (info("b", 4096), info("hidden", 8192))
    assert "hidden" in caplog.text


async def test_discovery_without_a_model_fails() -> None:
    async with serving() as (_, up):
        up.models = []
        with pytest.raises(EngineError, match="AXON_UPSTREAM_MODELS"):
            await started(up.url)


@pytest.mark.parametrize(
    ("server", "setting", "path"),
    [
        ("openai", "auto", "messages"),
        ("vllm", "auto", "prompt"),
        ("vllm", "openai", "messages"),
    ],
)
async def test_discovery_detects_the_kind_unless_it_is_set(
    server: str, setting: str, path: str
) -> None:
    async with serving(kind=server, settings={"kind": setting}) as (engine, up):
        assert joined(await chunks_of(engine, "one two")) == "one two"
        assert path in up.requests[0]


async def test_health_asks_only_an_upstream_that_has_not_answered_lately() -> None:
    async with serving() as (engine, up):
        asked = up.asked
        assert await engine.health()
        assert up.asked == asked
