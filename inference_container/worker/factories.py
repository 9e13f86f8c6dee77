"""Factories that the worker of a queue and the SageMaker endpoint share."""

from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from axon.adapters.observability.metrics import new_registry
from axon.engine_settings import EngineSettings
from axon.tracing import NoTracing, Tracing
from worker.engines.echo.engine import ECHO, EchoPace
from worker.engines.factory import create_engine
from worker.engines.model_formats import GivenFormats
from worker.engines.openai.upstream import Upstream
from worker.engines.protocol import Engine
from worker.engines.vllm.metrics import EngineMetrics
from worker.engines.vllm.model import VllmModel


def engine_of(settings: EngineSettings) -> Engine:
    """Return the configured engine, not yet started.

    Raises
    ------
    EngineError
        The settings do not say which model to serve.
    """
    pace = EchoPace(ttft_s=settings.echo_ttft_ms / 1000, token_s=settings.echo_token_ms / 1000)
    return create_engine(
        name=settings.engine,
        slots=settings.slots,
        echo=pace,
        echo_model=settings.model_name or ECHO,
        model=VllmModel.of(settings),
        upstream=Upstream.of(settings),
        formats=GivenFormats(call=settings.call_format, reasoning=settings.reasoning_format),
    )


async def start_engine(settings: EngineSettings, stack: AsyncExitStack) -> Engine:
    """Start the configured engine; the stack closes it."""
    engine = engine_of(settings)
    stack.push_async_callback(engine.close)
    await engine.start()
    return engine


def engine_registry() -> CollectorRegistry:
    """Return a metrics registry that includes the engines' own metrics."""
    registry = new_registry()
    registry.register(EngineMetrics())
    return registry


def tracing_of(settings: EngineSettings) -> Tracing:
    """Return the exporter of traces, or one that drops them if none is configured."""
    if settings.otlp_endpoint is None:
        return NoTracing()
    from axon.adapters.observability.otlp import OtlpTracing

    return OtlpTracing(endpoint=settings.otlp_endpoint, service="axon-worker")
