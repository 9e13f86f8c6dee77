from collections.abc import AsyncIterator, Iterator
from itertools import count

import psycopg
import pytest

from axon.adapters.postgres import Pool
from axon.adapters.valkey import Valkey
from local.services.postgres import Postgres
from tests.contract.clients import postgres_pool, valkey_client

NAMES = count()


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    async with valkey_client(valkey_url) as client:
        yield client


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[Pool]:
    async with postgres_pool(postgres_dsn) as pool:
        yield pool


@pytest.fixture
def empty_dsn(
    postgres_server: Postgres, postgres_admin: "psycopg.Connection[tuple[object, ...]]"
) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"empty_{next(NAMES)}"
    postgres_admin.execute(f"CREATE DATABASE {name}")
    yield postgres_server.dsn(name)
    postgres_admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
