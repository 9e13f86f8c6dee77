"""Error classes of vLLM, behind functions because vLLM is imported only where it runs."""


def dead_errors() -> type[Exception]:
    """Return the error of every request once the engine core has died."""
    from vllm.v1.engine.exceptions import EngineDeadError

    dead: type[Exception] = EngineDeadError
    return dead


def refusals() -> tuple[type[Exception], ...]:
    """Return the errors of a request that vLLM refuses."""
    from vllm.exceptions import VLLMClientError

    return (ValueError, VLLMClientError)
