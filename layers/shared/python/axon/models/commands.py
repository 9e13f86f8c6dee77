"""What functions/models is asked, and what it answers: JSON both ways."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from axon.exceptions import RequestError, SettingsError, UnavailableError
from axon.models.admin import Change, ModelControl, ModelOverview

_LINE = r"[^\p{C}\p{Zl}\p{Zp}]"
_INK = r"[^\p{C}\p{Z}]"
ModelName = Annotated[str, Field(max_length=256, pattern=rf"^{_INK}({_LINE}*{_INK})?$")]
"""As requests may name a model, if it can be read on a line."""


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ListModels(_Command):
    """Tell of all models, and how far workers are with them."""

    action: Literal["list"]


class _Settings(_Command):
    name: ModelName
    settings: dict[str, JsonValue]
    in_place: bool = False


class LoadModel(_Settings):
    """Have a model served that is not yet."""

    action: Literal["load"]


class SwapModel(_Settings):
    """Have a model served with other settings."""

    action: Literal["swap"]


class UnloadModel(_Command):
    """Have a model no longer served."""

    action: Literal["unload"]
    name: ModelName


AnyCommand = ListModels | LoadModel | SwapModel | UnloadModel
_COMMANDS: TypeAdapter[AnyCommand] = TypeAdapter(
    Annotated[AnyCommand, Field(discriminator="action")]
)


async def answer(event: Mapping[str, Any], *, control: ModelControl) -> dict[str, Any]:
    """Do what the event asks; what is refused is answered with ``error``, never raised."""
    try:
        return await _run(_COMMANDS.validate_python(event), control)
    except ValidationError as error:
        return _error("invalid_request", "; ".join(map(_describe, error.errors())))
    except SettingsError as error:
        return _error("invalid_settings", str(error))
    except RequestError as error:
        return _error(error.code, error.message)
    except UnavailableError as error:
        return _error("unavailable", str(error))


async def _run(command: AnyCommand, control: ModelControl) -> dict[str, Any]:
    match command:
        case ListModels():
            models, workers = await control.list()
            return {"models": [_plain(model) for model in models], "workers": list(workers)}
        case LoadModel(name=name, settings=settings, in_place=in_place):
            return _changed(await control.load(name, settings, in_place=in_place))
        case SwapModel(name=name, settings=settings, in_place=in_place):
            return _changed(await control.swap(name, settings, in_place=in_place))
        case UnloadModel(name=name):
            return _changed(await control.unload(name))
    assert_never(command)


def _changed(change: Change) -> dict[str, Any]:
    return {
        "model": _plain(change.model),
        "workers": list(change.workers),
        "told": change.told,
    }


def _plain(model: ModelOverview) -> dict[str, Any]:
    return {
        "name": model.name,
        "wanted": None if model.wanted is None else dict(model.wanted),
        "version": model.version,
        "serving": model.serving,
        "workers": model.workers,
        "states": {
            worker_id: {"state": has.state.value, "version": has.version, "reason": has.reason}
            for worker_id, has in model.states.items()
        },
    }


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def _describe(error: Mapping[str, Any]) -> str:
    # The first part of the place is the action, unless that itself is wrong.
    field = ".".join(map(str, error["loc"][1:])) or "action"
    return f"{field}: {error['msg']}"
