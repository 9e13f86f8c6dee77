"""Makes the engine that the settings name."""

from worker.engines.echo import ECHO, EchoEngine, EchoPace
from worker.engines.openai.engine import OpenAiEngine
from worker.engines.openai.upstream import Upstream
from worker.engines.openvino.engine import OpenVinoEngine
from worker.engines.protocol import Engine, EngineError
from worker.engines.vllm.engine import VllmEngine
from worker.engines.vllm.model import VllmModel


def create_engine(
    *,
    name: str,
    slots: int,
    echo: EchoPace | None = None,
    echo_model: str = ECHO,
    model: VllmModel | None = None,
    upstream: Upstream | None = None,
) -> Engine:
    """Return the engine of this name, not yet started.

    `echo_model` is the name of what echo serves, `model` what vLLM does; `upstream` is whom the
    engine openai asks.

    Raises
    ------
    EngineError
        There is no such engine, or it was not given what it serves.
    """
    match name:
        case "echo":
            return EchoEngine(slots=slots, pace=echo, model=echo_model)
        case "smollm2":
            return OpenVinoEngine(slots=slots)
        case "vllm" if model is not None:
            return VllmEngine(slots=slots, model=model)
        case "vllm":
            raise EngineError("engine vllm needs AXON_MODEL_NAME and AXON_MODEL_URI")
        case "openai" if upstream is not None:
            return OpenAiEngine(slots=slots, upstream=upstream)
        case "openai":
            raise EngineError("engine openai needs AXON_UPSTREAM_URL")
        case _:
            raise EngineError(f"unknown engine '{name}': use echo, smollm2, vllm or openai")
