"""Clients of the real servers that end with their test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from axon.adapters.postgres.pool import Pool, create_pool
from axon.adapters.valkey.client import Valkey
from axon.settings import PostgresSettings


@asynccontextmanager
async def valkey_client(url: str, *, make: type[Valkey] = Valkey) -> AsyncIterator[Valkey]:
    client = make(url)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def postgres_pool(dsn: str) -> AsyncIterator[Pool]:
    pool = create_pool(PostgresSettings(postgres_dsn=dsn))
    try:
        yield pool
    finally:
        await pool.close()
