"""Engines: one protocol, one file an engine."""

from worker.engines.echo import EchoEngine, EchoPace
from worker.engines.protocol import Engine, EngineError

__all__ = ["EchoPace", "create_engine"]


def create_engine(*, name: str, slots: int, echo: EchoPace) -> Engine:
    """Return the engine of this name, not yet started.

    Raises
    ------
    EngineError : there is no such engine.
    """
    match name:
        case "echo":
            return EchoEngine(slots=slots, pace=echo)
        case _:
            raise EngineError(f"unknown engine '{name}': use echo or smollm2")
