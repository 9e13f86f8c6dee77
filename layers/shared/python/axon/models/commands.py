"""The commands of functions/models and their answers, in JSON."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from axon.exceptions import RequestError, SettingsError, UnavailableError
from axon.models.admin import Change, ModelAdmin, ModelOverview

_LINE = r"[^\p{C}\p{Zl}\p{Zp}]"
_INK = r"[^\p{C}\p{Z}]"
ModelName = Annotated[str, Field(max_length=256, pattern=rf"^{_INK}({_LINE}*{_INK})?$")]
"""A model's name as requests may give it, without what cannot be shown on one line."""


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ListModels(_Command):
    """List all models with their state in every worker."""

    action: Literal["list"]


class _Settings(_Command):
    name: ModelName
    settings: dict[str, JsonValue]
    in_place: bool = False


class LoadModel(_Settings):
    """Start serving a model."""

    action: Literal["load"]


class SwapModel(_Settings):
    """Serve a model with other settings."""

    action: Literal["swap"]


class UnloadModel(_Command):
    """Stop serving a model."""

    action: Literal["unload"]
    name: ModelName


AnyCommand = ListModels | LoadModel | SwapModel | UnloadModel
_COMMANDS: TypeAdapter[AnyCommand] = TypeAdapter(
    Annotated[AnyCommand, Field(discriminator="action")]
)


async def answer(event: Mapping[str, Any], *, admin: ModelAdmin) -> dict[str, Any]:
    """Run the command of an event; answer a refusal with ``error`` rather than raise it."""
    try:
        return await _run(_COMMANDS.validate_python(event), admin)
    except ValidationError as error:
        return _error("invalid_request", "; ".join(map(_describe, error.errors())))
    except SettingsError as error:
        return _error("invalid_settings", str(error))
    except RequestError as error:
        return _error(error.code, error.message)
    except UnavailableError as error:
        return _error("unavailable", str(error))


async def _run(command: AnyCommand, admin: ModelAdmin) -> dict[str, Any]:
    match command:
        case ListModels():
            models, workers = await admin.list()
            return {"models": [_plain(model) for model in models], "workers": list(workers)}
        case LoadModel(name=name, settings=settings, in_place=in_place):
            return _changed(await admin.load(name, settings, in_place=in_place))
        case SwapModel(name=name, settings=settings, in_place=in_place):
            return _changed(await admin.swap(name, settings, in_place=in_place))
        case UnloadModel(name=name):
            return _changed(await admin.unload(name))
    assert_never(command)


def _changed(change: Change) -> dict[str, Any]:
    return {
        "model": _plain(change.model),
        "workers": list(change.workers),
        "told": change.notified,
    }


def _plain(model: ModelOverview) -> dict[str, Any]:
    return {
        "name": model.name,
        "wanted": None if model.desired is None else dict(model.desired),
        "version": model.version,
        "serving": model.serving,
        "workers": model.workers,
        "states": {
            worker_id: {"state": has.state.value, "version": has.version, "reason": has.reason}
            for worker_id, has in model.states.items()
        },
    } | ({"served_as": list(model.served_as)} if model.served_as else {})


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def _describe(error: Mapping[str, Any]) -> str:
    # The first part of the place is the action, unless that itself is wrong.
    field = ".".join(map(str, error["loc"][1:])) or "action"
    return f"{field}: {error['msg']}"
