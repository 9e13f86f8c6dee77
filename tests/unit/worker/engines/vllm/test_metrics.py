from prometheus_client import CollectorRegistry, Counter

from axon.adapters.observability.metrics import exposition, new_registry
from worker.engines.vllm.metrics import EngineMetrics


def test_engine_metrics_are_vllms_own_including_later_ones() -> None:
    source = CollectorRegistry()
    Counter("python_gc", "Not vLLM's.", registry=source).inc()
    registry = new_registry()
    registry.register(EngineMetrics(source=source))
    Counter("vllm:prompt_tokens", "vLLM's.", ["model_name"], registry=source).labels("m").inc(3)
    text = exposition(registry).decode()
    assert 'vllm:prompt_tokens_total{model_name="m"} 3.0' in text
    assert "python_gc" not in text
