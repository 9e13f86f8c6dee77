"""Aliases: names that requests may give instead of a model's, for one model or shares of several.

A conversation decides for one of them, and the same one every time: `axon.rendezvous`.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from axon.rendezvous import weighted

ModelName = Annotated[str, Field(min_length=1, max_length=256)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


def _checked(aliases: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    for alias, weights in aliases.items():
        if not any(weights.values()):
            raise ValueError(f"{alias!r} stands for nothing: give a model a weight above 0")
        if inner := sorted(weights.keys() & aliases.keys()):
            raise ValueError(f"{alias!r} names {inner[0]!r}, which is an alias: name a model")
    return aliases


ModelAliases = Annotated[dict[ModelName, dict[ModelName, Weight]], AfterValidator(_checked)]
"""For each alias the models that it stands for, by their weights; 0 takes one out."""


def check_free(aliases: ModelAliases, models: tuple[str, ...]) -> None:
    """Raise ValueError if an alias is the name of one of these models, which it would hide."""
    if taken := sorted(aliases.keys() & set(models)):
        raise ValueError(f"{taken[0]!r} is the name of a model: choose another alias")


def resolve(name: str, *, conversation_id: str, aliases: ModelAliases) -> list[str]:
    """Return the models that may answer, the conversation's own first.

    The order of an alias's models depends on nothing but the conversation and the weights: 90 and
    10 give nine of ten conversations to the first, and a model whose weight changes gets or loses
    what its share has changed by, nobody else. A name that is no alias is a model's.
    """
    weights = aliases.get(name)
    return [name] if weights is None else weighted(conversation_id, weights)
