"""Checks that every engine makes before it generates."""

from collections.abc import Sequence

from worker.engines.protocol import ContextOverflowError, GenerateRequest, ModelInfo, RefusedError


def find_model(models: Sequence[ModelInfo], model: str) -> ModelInfo:
    """Return the served model of this name.

    Raises
    ------
    RefusedError
        The engine does not serve it.
    """
    for info in models:
        if info.id == model:
            return info
    raise RefusedError(f"This engine does not serve the model '{model}'.")


def token_budget(request: GenerateRequest, context_window: int) -> int:
    """Return how many tokens may still be generated; those of earlier attempts count.

    Raises
    ------
    ContextOverflowError
        The prompt alone fills the context window.
    """
    prompt_length = len(request.prompt.token_ids)
    room = context_window - prompt_length
    if room <= 0:
        raise ContextOverflowError(
            f"The prompt has {prompt_length} tokens or more; "
            f"the context window of '{request.model}' is {context_window}."
        )
    return max(0, min(request.sampling.max_tokens, room) - len(request.generated_token_ids))


_REMEDIES = {"logit_bias": "Leave it out.", "top_k": "Leave it out: use `top_p`."}
"""Sampling parameters that not every engine has, with what to do instead."""


def refuse_sampling(request: GenerateRequest, *names: str) -> None:
    """Refuse a request with a sampling parameter that the engine does not have.

    Parameters
    ----------
    request : GenerateRequest
        The request.
    names : str
        The parameters that the engine does not have, by their names in `Sampling`.

    Raises
    ------
    RefusedError
        The request has one of them.
    """
    for name in names:
        if getattr(request.sampling, name):
            raise RefusedError(
                f"The model '{request.model}' cannot be asked with '{name}'. {_REMEDIES[name]}"
            )


def refuse_format(request: GenerateRequest) -> None:
    """Refuse a request for structured output; for engines that generate plain text only.

    Raises
    ------
    RefusedError
        The request has a `text.format`.
    """
    if request.text_format is not None:
        raise RefusedError(
            f"The model '{request.model}' cannot answer in 'text.format' "
            f"'{request.text_format['type']}'. Use 'text'."
        )
