"""The commands of functions/keys and their answers, in JSON."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from axon.exceptions import UnavailableError
from axon.retention import RetentionStore
from axon.tenants.api_keys import ApiKey, ApiKeys, Revocation

TenantId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
KeyName = Annotated[str, Field(pattern=r"^[^\p{Cc}]{1,100}$")]
"""Any text on one line."""
AGAIN = "revoke the key again later to close them"


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CreateKey(_Command):
    """Make a key; the answer is the only place where its secret appears."""

    action: Literal["create"]
    tenant_id: TenantId
    name: KeyName


class ListKeys(_Command):
    """List all keys, oldest first."""

    action: Literal["list"]


class RevokeKey(_Command):
    """Revoke a key at once."""

    action: Literal["revoke"]
    key_id: str


class SetRetention(_Command):
    """Set for how many days a tenant's conversations are kept (0: for ever; null: the default)."""

    action: Literal["set_retention"]
    tenant_id: TenantId
    days: Annotated[int, Field(ge=0, le=36500)] | None


AnyCommand = CreateKey | ListKeys | RevokeKey | SetRetention
Command = Annotated[AnyCommand, Field(discriminator="action")]
_COMMANDS: TypeAdapter[AnyCommand] = TypeAdapter(Command)


async def answer(
    event: Mapping[str, Any], *, keys: ApiKeys, retention: RetentionStore
) -> dict[str, Any]:
    """Run the command of an event; answer a refusal with ``error`` rather than raise it."""
    try:
        command = _COMMANDS.validate_python(event)
        return await _run(command, keys, retention)
    except ValidationError as error:
        return _error("invalid_request", "; ".join(map(_describe, error.errors())))
    except UnavailableError as error:
        return _error("unavailable", str(error))


async def _run(command: AnyCommand, keys: ApiKeys, retention: RetentionStore) -> dict[str, Any]:
    match command:
        case CreateKey():
            key, secret = await keys.create(tenant_id=command.tenant_id, name=command.name)
            return {"key": _plain(key), "secret": secret}
        case ListKeys():
            return {"keys": [_plain(key) for key in await keys.list()]}
        case RevokeKey():
            revocation = await keys.revoke(command.key_id)
            if revocation is None:
                return _error("not_found", f"there is no key {command.key_id[:64]}")
            return {"revoked": command.key_id} | _left_open(revocation)
        case SetRetention():
            if await retention.set_days(command.tenant_id, command.days):
                return {"tenant_id": command.tenant_id, "days": command.days}
            return _error("not_found", f"there is no tenant {command.tenant_id}: make a key for it")
    assert_never(command)


def _left_open(revocation: Revocation) -> dict[str, str]:
    match revocation:
        case Revocation.CLOSING:
            return {}
        case Revocation.NO_RELAY:
            message = "no relay runs to close its open connections; the next one that starts will"
        case Revocation.NO_VALKEY:
            message = "Valkey does not answer, so its open connections stay open; " + AGAIN
    return {"open_connections": f"{message}. Requests on them are refused within 5 s"}


def _plain(key: ApiKey) -> dict[str, Any]:
    values = {name: getattr(key, name) for name in ("key_id", "tenant_id", "name", "hint")}
    times = {"created_at": key.created_at, "revoked_at": key.revoked_at}
    return values | {name: time and time.isoformat() for name, time in times.items()}


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def _describe(error: Mapping[str, Any]) -> str:
    # The first part of the place is the action, unless that itself is wrong.
    field = ".".join(map(str, error["loc"][1:])) or "action"
    return f"{field}: {error['msg']}"
