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
from axon.history import NO_INPUTS, HistoryRecord, HistoryStore
from axon.models.desired import DesiredModel, DesiredModels
from axon.serialization import dumps
from axon.tenants.api_keys import ApiKey, ApiKeyStore
from axon.tenants.known_keys import PREFIX_DIGITS
from axon.tenants.principal import Principal
from axon.tracebacks import describe

_OF_CONVERSATIONS = ("conversation_id", "tenant_id", "created_at", "ended_at")
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
    async def write(
        self, records: Sequence[HistoryRecord], *, inputs: Mapping[str, bytes] = NO_INPUTS
    ) -> None:
        rows = [_readable(record, inputs.get(record.response_id)) for record in records]
        try:
            # Statements in a pipeline go together: a batch takes two round trips, and not five.
            async with transaction(self._pool) as connection, connection.pipeline():
                owners = [{name: row[name] for name in _OF_CONVERSATIONS} for row in rows]
                await connection.execute(query("write_conversations"), {"rows": jsonb(owners)})
                for distinct in _distinct(rows):
                    await connection.execute(query("write_responses"), _parameters(distinct))
        except (DataError, IntegrityError) as error:  # its column, or a constraint, never takes it
            # Not as the cause: PostgreSQL quotes the value, or the whole row.
            reason = f"the database refuses it ({type(error).__name__})"
            raise UnreadableError(Format.HISTORY_RECORD, reason) from None

    @override
    async def knows(self, response_id: str) -> bool:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "SELECT FROM responses WHERE response_id = %(id)s UNION ALL "
                "SELECT FROM deleted_responses WHERE response_id = %(id)s LIMIT 1",
                {"id": response_id},
            )
            return await cursor.fetchone() is not None


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


def _readable(record: HistoryRecord, content: bytes | None) -> dict[str, Any]:
    """Return a record's row; `content` is its input where that is JSON already."""
    try:
        return _row(record) | ({} if content is None else {"input": content})
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise UnreadableError(Format.HISTORY_RECORD, describe(error)) from None


def _row(record: HistoryRecord) -> dict[str, Any]:
    usage = record.response.get("usage") or {}
    texts = {
        "response_id": record.response_id,
        "tenant_id": record.tenant_id,
        "key_id": record.key_id or None,
        "conversation_id": record.conversation_id,
        "previous_response_id": record.previous_response_id,
        "model": record.response["model"],
        "status": record.response["status"],
    }
    return {name: _text(value) for name, value in texts.items()} | {
        "version": record.version,
        "created_at": _time(record.created_ms),
        "ended_at": _time(record.ended_ms),
        "input_tokens": _count(usage.get("input_tokens", 0)),
        "output_tokens": _count(usage.get("output_tokens", 0)),
        "input": record.input,
        "response": record.response,
        "outline": record.outline,
    }


def _distinct(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the rows in groups that have no response twice, as no statement changes a row twice.

    Rows of one response keep their order.
    """
    groups: list[dict[str, dict[str, Any]]] = []
    for row in rows:
        response_id = row["response_id"]
        group = next((group for group in groups if response_id not in group), None)
        if group is None:
            groups.append(group := {})
        group[response_id] = row
    return [list(group.values()) for group in groups]


def _parameters(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "rows": _rows(rows),
        "response_ids": [row["response_id"] for row in rows],
        "conversation_ids": [row["conversation_id"] for row in rows],
    }


def _text(value: Any) -> str | None:
    """Return what a text column takes as it is."""
    if value is None:
        return None
    if isinstance(value, str) and "\0" not in value:
        return value
    raise TypeError("not a text, or with NUL")


def _count(value: Any) -> int:
    """Return a number of tokens. PostgreSQL would quote anything else in its log."""
    if not isinstance(value, int):
        raise TypeError("not a number of tokens")
    return value


def jsonb(value: Any) -> Jsonb:
    """Wrap for a jsonb column, which takes any character but NUL."""
    return Jsonb(value, dumps=_without_nul)


def _rows(rows: Sequence[dict[str, Any]]) -> Jsonb:
    """Wrap rows, of which some may have an input that is JSON already."""
    if not any(isinstance(row["input"], bytes) for row in rows):
        return jsonb(rows)
    return Jsonb(rows, dumps=lambda each: b"[" + b",".join(map(_spliced, each)) + b"]")


def _spliced(row: dict[str, Any]) -> bytes:
    content = row["input"]
    if not isinstance(content, bytes):
        return _without_nul(row)
    others = _without_nul({name: value for name, value in row.items() if name != "input"})
    return others[:-1] + b',"input":' + _cleaned(content) + b"}"


def _without_nul(value: Any) -> bytes:
    return _cleaned(dumps(value))


def _cleaned(encoded: bytes) -> bytes:
    # The expression looks at every byte; most values need no more than this search.
    return _NUL.sub(rb"\1\\ufffd", encoded) if b"\\u0000" in encoded else encoded


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
