"""What leads from the models that a worker has to those that it is to have."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from axon.models.desired import DesiredModel
from axon.models.settings import adapter_of


@dataclass(frozen=True, slots=True)
class Unload:
    """Serve a model no longer."""

    name: str


@dataclass(frozen=True, slots=True)
class Load:
    """Serve this version of a model, instead of another one if there is one."""

    model: DesiredModel


Action = Unload | Load


def layered(own: DesiredModel, said: Iterable[DesiredModel]) -> dict[str, DesiredModel]:
    """Return what is wanted by name: the deployment's own model, unless something else was said."""
    models = {own.name: own} | {model.name: model for model in said}
    return {name: model for name, model in models.items() if model.settings is not None}


def plan(
    held: Mapping[str, int],
    wanted: Mapping[str, DesiredModel],
    *,
    resting: Mapping[str, int] | None = None,
) -> Sequence[Action]:
    """Return what is to be done: what makes room first, then as it was said, adapters at last.

    Parameters
    ----------
    held : Mapping[str, int]
        Which version of each model is served.
    resting : Mapping[str, int] | None
        The versions that failed to load, and are not tried again yet.
    """
    resting = resting or {}
    unloads = [Unload(name) for name in sorted(held) if name not in wanted]
    loads = [
        Load(model)
        for name, model in sorted(wanted.items(), key=lambda item: _place(item[1]))
        if model.version not in (held.get(name), resting.get(name))
    ]
    return [*unloads, *loads]


def _place(model: DesiredModel) -> tuple[bool, int, str]:
    return adapter_of(model.settings or {}) is not None, model.version, model.name
