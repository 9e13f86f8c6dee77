"""Retention and deletion in PostgreSQL, by functions of the schema that bound what they delete."""

from collections.abc import Sequence

from typing_extensions import override

from axon.adapters.postgres.pool import Pool, query, transaction
from axon.responses.deletion import ResponseRows, StoredResponse
from axon.retention import Expired, RetentionStore, TenantRetention


class PostgresRetention(RetentionStore):
    """See `axon.retention.RetentionStore`."""

    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    @override
    async def tenants(self, *, default_days: int) -> Sequence[TenantRetention]:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(query("list_retention"), {"days": default_days})
            return [TenantRetention(**row) for row in await cursor.fetchall()]

    @override
    async def expire(self, retention: TenantRetention, *, limit: int) -> Expired:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "SELECT expired_responses AS responses, expired_conversations AS conversations "
                "FROM expire_conversations(%s, %s, %s)",
                [retention.tenant_id, retention.days, limit],
            )
            (row,) = await cursor.fetchall()
        return Expired(**row)

    @override
    async def forget_tombstones(self, *, days: int, limit: int) -> int:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "SELECT forget_tombstones(%s, %s) AS forgotten", [days, limit]
            )
            (row,) = await cursor.fetchall()
        return int(row["forgotten"])

    @override
    async def set_days(self, tenant_id: str, days: int | None) -> bool:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "UPDATE tenants SET retention_days = %s WHERE tenant_id = %s", [days, tenant_id]
            )
        return cursor.rowcount > 0


class PostgresResponseRows(ResponseRows):
    """See `axon.responses.deletion.ResponseRows`.

    A row without a model is a turn of a named conversation, and no response.
    """

    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    @override
    async def read(self, response_id: str, *, tenant_id: str) -> StoredResponse | None:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                query("read_response"), {"response_id": response_id, "tenant_id": tenant_id}
            )
            row = await cursor.fetchone()
        return StoredResponse(**row) if row else None

    @override
    async def status(self, response_id: str, *, tenant_id: str) -> str | None:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "SELECT status FROM responses "
                "WHERE response_id = %s AND tenant_id = %s AND model <> ''",
                [response_id, tenant_id],
            )
            row = await cursor.fetchone()
        return str(row["status"]) if row else None

    @override
    async def delete(self, response_id: str, *, tenant_id: str, accepted: bool) -> bool:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "SELECT delete_response(%s, %s, %s) AS deleted", [response_id, tenant_id, accepted]
            )
            (row,) = await cursor.fetchall()
        return bool(row["deleted"])
