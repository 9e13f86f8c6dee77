"""Makes the engine that the settings name."""

from worker.engines.echo import EchoEngine, EchoPace
from worker.engines.openvino.engine import OpenVinoEngine
from worker.engines.protocol import Engine, EngineError
from worker.engines.vllm.engine import VllmEngine, VllmModel


def create_engine(
    *, name: str, slots: int, echo: EchoPace | None = None, model: VllmModel | None = None
) -> Engine:
    """Return the engine of this name, not yet started. `model` is what vLLM serves.

    Raises
    ------
    EngineError
        There is no such engine, or vLLM was given no model.
    """
    match name:
        case "echo":
            return EchoEngine(slots=slots, pace=echo)
        case "smollm2":
            return OpenVinoEngine(slots=slots)
        case "vllm" if model is not None:
            return VllmEngine(slots=slots, model=model)
        case "vllm":
            raise EngineError("engine vllm needs AXON_MODEL_NAME and AXON_MODEL_URI")
        case _:
            raise EngineError(f"unknown engine '{name}': use echo, smollm2 or vllm")
