"""What vLLM raises; its classes, for it is imported late."""


def dead_errors() -> type[Exception]:
    """Return what every request gets when the engine core is gone."""
    from vllm.v1.engine.exceptions import EngineDeadError

    dead: type[Exception] = EngineDeadError
    return dead


def refusals() -> tuple[type[Exception], ...]:
    """Return what one request gets that vLLM does not take."""
    from vllm.exceptions import VLLMClientError

    return (ValueError, VLLMClientError)
