"""The difference between the desired and the observed models, as a list of actions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from axon.models.desired import DesiredModel
from axon.models.settings import adapter_of


@dataclass(frozen=True, slots=True)
class Unload:
    """Stop serving a model."""

    name: str


@dataclass(frozen=True, slots=True)
class Load:
    """Serve this version of a model; swap it for the version served now, if there is one."""

    model: DesiredModel


Action = Unload | Load


def desired_by_name(
    deployment: DesiredModel, models: Iterable[DesiredModel]
) -> dict[str, DesiredModel]:
    """Return the models to serve: the deployment's, overridden by what the operator set."""
    desired = {deployment.name: deployment} | {model.name: model for model in models}
    return {name: model for name, model in desired.items() if model.settings is not None}


def plan(
    observed: Mapping[str, int],
    desired: Mapping[str, DesiredModel],
    *,
    backing_off: Mapping[str, int] | None = None,
) -> Sequence[Action]:
    """Return the actions that turn the observed models into the desired ones.

    Unloads come first, since a load may need their memory; then loads by version, which is the
    order in which the operator asked for them; adapters last, for they need their base model.

    Parameters
    ----------
    observed : Mapping[str, int]
        The version of each model that is served, by name.
    desired : Mapping[str, DesiredModel]
        The models to serve, by name.
    backing_off : Mapping[str, int] | None
        Versions that failed to load and are not retried yet, by name.
    """
    backing_off = backing_off or {}
    unloads = [Unload(name) for name in sorted(observed) if name not in desired]
    loads = [
        Load(model)
        for name, model in sorted(desired.items(), key=lambda item: _load_order(item[1]))
        if model.version not in (observed.get(name), backing_off.get(name))
    ]
    return [*unloads, *loads]


def _load_order(model: DesiredModel) -> tuple[bool, int, str]:
    return adapter_of(model.settings or {}) is not None, model.version, model.name
