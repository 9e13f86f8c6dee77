"""Makes the engine that the settings name."""

from worker.engines.echo import EchoEngine, EchoPace
from worker.engines.openvino.engine import OpenVinoEngine
from worker.engines.protocol import Engine, EngineError


def create_engine(*, name: str, slots: int, echo: EchoPace | None = None) -> Engine:
    """Return the engine of this name, not yet started.

    Raises
    ------
    EngineError
        There is no such engine.
    """
    match name:
        case "echo":
            return EchoEngine(slots=slots, pace=echo)
        case "smollm2":
            return OpenVinoEngine(slots=slots)
        case _:
            raise EngineError(f"unknown engine '{name}': use echo or smollm2")
