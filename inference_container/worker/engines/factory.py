"""Creation of the engine that the settings name."""

from worker.engines.echo.engine import ECHO, EchoEngine, EchoPace
from worker.engines.model_formats import FOUND, GivenFormats
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
    formats: GivenFormats = FOUND,
) -> Engine:
    """Return the engine of this name, not yet started.

    Parameters
    ----------
    name : str
        ``echo``, ``smollm2``, ``vllm`` or ``openai``.
    slots : int
        Generations that it runs at once.
    echo : EchoPace | None
        Pace of the echo engine.
    echo_model : str
        Name of the echo engine's model.
    model : VllmModel | None
        Model of the vLLM engine.
    upstream : Upstream | None
        Server of the OpenAI engine.
    formats : GivenFormats
        The operator's settings of how models write calls and reasoning.

    Raises
    ------
    EngineError
        The name is unknown, or the engine's model or server is missing.
    """
    match name:
        case "echo":
            return EchoEngine(slots=slots, pace=echo, model=echo_model, formats=formats)
        case "smollm2":
            return OpenVinoEngine(slots=slots, formats=formats)
        case "vllm" if model is not None:
            return VllmEngine(slots=slots, model=model, formats=formats)
        case "vllm":
            raise EngineError("engine vllm needs AXON_MODEL_NAME and AXON_MODEL_URI")
        case "openai" if upstream is not None:
            return OpenAiEngine(slots=slots, upstream=upstream, formats=formats)
        case "openai":
            raise EngineError("engine openai needs AXON_UPSTREAM_URL")
        case _:
            raise EngineError(f"unknown engine '{name}': use echo, smollm2, vllm or openai")
