"""The stores in PostgreSQL: API keys, turns, history, desired models."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import DataError, IntegrityError
from psycopg.types.json import Jsonb
from typing_extensions import override

from axon.adapters.postgres.pool import Pool, query, transaction
from axon.conversations import Turn, TurnStore
from axon.formats import Format, UnreadableError
from axon.history import HistoryRecord, HistoryStore
from axon.models.desired import DesiredModel, DesiredModels
from axon.serialization import dumps
from axon.tenants.api_keys import ApiKey, ApiKeyStore
from axon.tenants.known_keys import PREFIX_DIGITS
from axon.tenants.principal import Principal
from axon.tracebacks import describe

_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


class PostgresApiKeyStore(ApiKeyStore):
    """See `axon.tenants.api_keys.ApiKeyStore`."""

    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    @override
    async def add(self, key: ApiKey, *, key_hash: str) -> None:
        values = {
            "key_id": key.key_id,
            "tenant_id": key.tenant_id,
            "name": key.name,
            "hint": key.hint,
            "key_hash": key_hash,
            "scopes": sorted(key.scopes),
        }
        async with transaction(self._pool) as connection:
            await connection.execute(query("add_key"), values)

    @override
    async def find(self, key_hash: str) -> Principal | None:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "SELECT tenant_id, key_id, scopes FROM api_keys "
                "WHERE key_hash = %s AND revoked_at IS NULL",
                [key_hash],
            )
            row = await cursor.fetchone()
        return Principal(**_with_scopes(row)) if row else None

    @override
    async def list(self) -> Sequence[ApiKey]:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "SELECT key_id, tenant_id, name, hint, created_at, revoked_at, scopes "
                "FROM api_keys ORDER BY created_at, key_id"
            )
            return [ApiKey(**_with_scopes(row)) for row in await cursor.fetchall()]

    @override
    async def is_valid(self, key_id: str) -> bool:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "SELECT FROM api_keys WHERE key_id = %s AND revoked_at IS NULL", [key_id]
            )
            return await cursor.fetchone() is not None

    @override
    async def prefixes(self) -> Sequence[str]:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "SELECT left(key_hash, %s) AS prefix FROM api_keys WHERE revoked_at IS NULL",
                [PREFIX_DIGITS],
            )
            return [row["prefix"] for row in await cursor.fetchall()]

    @override
    async def revoke(self, key_id: str) -> str | None:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = %s "
                "RETURNING key_hash",
                [key_id],
            )
            row = await cursor.fetchone()
        return row["key_hash"] if row else None


class PostgresTurnStore(TurnStore):
    """See `axon.conversations.TurnStore`."""

    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    @override
    async def chain(self, response_id: str) -> list[Turn]:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(query("chain"), {"response_id": response_id})
            return [Turn(**row) for row in await cursor.fetchall()]


class PostgresHistoryStore(HistoryStore):
    """See `axon.history.HistoryStore`; one transaction for all records of a call."""

    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    @override
    async def write(self, records: Sequence[HistoryRecord]) -> None:
        # A fixed order of conversations, so that two writers cannot lock each other out.
        rows = [_readable(record) for record in sorted(records, key=lambda r: r.conversation_id)]
        try:
            async with transaction(self._pool) as connection, connection.cursor() as cursor:
                await cursor.executemany(query("write_conversation"), rows)
                await cursor.executemany(query("write_response"), rows)
        except (DataError, IntegrityError) as error:  # its column, or a constraint, never takes it
            # Not as the cause: PostgreSQL quotes the value, or the whole row.
            reason = f"the database refuses it ({type(error).__name__})"
            raise UnreadableError(Format.HISTORY_RECORD, reason) from None


class PostgresDesiredModels(DesiredModels):
    """See `axon.models.desired.DesiredModels`."""

    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    @override
    async def list(self) -> Sequence[DesiredModel]:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                'SELECT name, settings, version FROM wanted_models ORDER BY name COLLATE "C"'
            )
            return [DesiredModel(**row) for row in await cursor.fetchall()]

    @override
    async def put(self, name: str, settings: Mapping[str, Any] | None) -> DesiredModel:
        values = {"name": name, "settings": None if settings is None else jsonb(dict(settings))}
        async with transaction(self._pool) as connection:
            await connection.execute("LOCK TABLE wanted_models IN SHARE ROW EXCLUSIVE MODE")
            cursor = await connection.execute(query("put_model"), values)
            (row,) = await cursor.fetchall()
        return DesiredModel(**row)


def _with_scopes(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"scopes": frozenset(row["scopes"])}


def _readable(record: HistoryRecord) -> dict[str, Any]:
    try:
        return _row(record)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise UnreadableError(Format.HISTORY_RECORD, describe(error)) from None


def _row(record: HistoryRecord) -> dict[str, Any]:
    usage = record.response.get("usage") or {}
    return {
        "response_id": record.response_id,
        "tenant_id": record.tenant_id,
        "key_id": record.key_id or None,
        "conversation_id": record.conversation_id,
        "previous_response_id": record.previous_response_id,
        "model": record.response["model"],
        "status": record.response["status"],
        "version": record.version,
        "created_at": _time(record.created_ms),
        "ended_at": _time(record.ended_ms),
        "input_tokens": _count(usage.get("input_tokens", 0)),
        "output_tokens": _count(usage.get("output_tokens", 0)),
        "input": jsonb(record.input),
        "response": jsonb(record.response),
        "outline": None if record.outline is None else jsonb(record.outline),
    }


def _count(value: Any) -> int:
    """Return a number of tokens. PostgreSQL would quote anything else in its log."""
    if not isinstance(value, int):
        raise TypeError("not a number of tokens")
    return value


def jsonb(value: Any) -> Jsonb:
    """Wrap for a jsonb column, which takes any character but NUL."""
    return Jsonb(value, dumps=lambda it: _NUL.sub(rb"\1\\ufffd", dumps(it)))


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
