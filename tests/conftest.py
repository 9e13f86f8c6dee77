"""Real servers for the tests: one set a test process, started when first asked for."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import psycopg
import pytest
import redis
from psycopg.conninfo import make_conninfo

from axon.adapters.aws.credentials import process_credentials
from axon.adapters.postgres.migrations import migrate
from axon.adapters.postgres.pool import Pool, create_pool
from axon.adapters.valkey.client import Valkey as ValkeyClient
from axon.settings import PostgresSettings
from local.ports import Ports
from local.services.fauxqs import Fauxqs
from local.services.postgres import Postgres
from local.services.queues import HISTORY, HISTORY_DEAD, JOBS, JOBS_DEAD, JOBS_PARKED, REGION, Queue
from local.services.valkey import Valkey
from local.supervision.child import Child
from local.supervision.guardian import Guardian
from local.supervision.program import Program
from tests.support.clients import postgres_pool, valkey_client

# With awscrt installed (for the checksums of weights), botocore would sign with it, in other words
# and by a clock that tests cannot set. Functions and relays on AWS do not have it.
os.environ["BOTO_DISABLE_CRT"] = "true"
# No deadline: a slow machine is no failure.
hypothesis.settings.register_profile("axon", deadline=None)
hypothesis.settings.load_profile("axon")

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

Admin = psycopg.Connection[tuple[object, ...]]

TEMPLATE = "axon_template"
NAMES = count()

FAUXQS_FILE = "fauxqs_file"
"""Parameter of a test that is to run on a fauxqs that keeps its data."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: "Producer"
) -> "LoadScopeScheduling | None":
    """Share the tests of `pytest -n` as `tests.support.parallel` says; a `--dist` is obeyed."""
    # Here, because the environment of vLLM has no xdist.
    from tests.support.parallel import UnitScheduling

    return UnitScheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        from tests.support.parallel import rank_of

        items.sort(key=lambda item: rank_of(item.nodeid))


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Starts servers that end with this test process, even when that is killed."""

    folder: Path
    ports: Ports
    stack: ExitStack

    def start(self, program: Program) -> None:
        child = Child(program, owner=str(self.folder), log=self.folder / f"{program.name}.log")
        self.stack.callback(child.kill)
        child.wait_until_ready()


@pytest.fixture(scope="session", autouse=True)
def _no_real_aws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "local")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "local")
        patch.setenv("AWS_REGION", REGION)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


@pytest.fixture(autouse=True)
def _own_credentials() -> None:
    """Forget the credentials that another test has put into the environment."""
    process_credentials.cache_clear()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="axon-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(Guardian(owner=str(folder), temporary=folder))
        yield Servers(folder=folder, ports=stack.enter_context(Ports()), stack=stack)


@pytest.fixture(scope="session")
def valkey_server(servers: Servers) -> Valkey:
    valkey = Valkey(
        port=servers.ports.reserve(), folder=servers.folder / "valkey", persistent=False
    )
    servers.start(valkey.program())
    return valkey


@pytest.fixture(scope="session")
def postgres_server(servers: Servers) -> Postgres:
    postgres = Postgres(
        port=servers.ports.reserve(), folder=servers.folder / "postgres", persistent=False
    )
    servers.start(postgres.program())
    return postgres


@pytest.fixture(scope="session")
def postgres_admin(postgres_server: Postgres) -> Iterator[Admin]:
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
        # In a thread: the tests' own event loops stay as they are.
        with ThreadPoolExecutor(1) as executor:
            executor.submit(asyncio.run, _migrate(postgres_server.dsn(TEMPLATE))).result()
        connection.execute("ALTER ROLE axon_app PASSWORD 'axon_app'")
        yield connection


async def _migrate(dsn: str) -> None:
    pool = create_pool(PostgresSettings(postgres_dsn=dsn), max_size=1)
    try:
        await migrate(pool)
    finally:
        await pool.close()


@pytest.fixture(scope="session")
def fauxqs_server(servers: Servers) -> Fauxqs:
    return _fauxqs(servers, "fauxqs", persistent=False)


@pytest.fixture(scope="session")
def fauxqs_with_file(servers: Servers) -> Fauxqs:
    """Return a fauxqs that keeps its queues in a SQLite file, as `axon dev` with kept data does."""
    return _fauxqs(servers, "fauxqs-with-file", persistent=True)


def _fauxqs(servers: Servers, folder: str, *, persistent: bool) -> Fauxqs:
    fauxqs = Fauxqs(
        port=servers.ports.reserve(),
        folder=servers.folder / folder,
        persistent=persistent,
        packages=servers.folder / "fauxqs",
    )
    servers.start(fauxqs.program())
    return fauxqs


@pytest.fixture(scope="session")
def sqs_client_of(servers: Servers) -> Callable[[str], "SQSClient"]:
    """Return a function that returns the boto3 client of an endpoint: one for all tests."""
    import boto3

    @cache
    def client_of(endpoint: str) -> "SQSClient":
        client = boto3.client("sqs", endpoint_url=endpoint, region_name=REGION)
        servers.stack.callback(client.close)
        return client

    return client_of


@pytest.fixture
def fauxqs(request: pytest.FixtureRequest) -> Fauxqs:
    """Return the test's stand-in for SQS: without a file, unless a parameter is `fauxqs_file`.

    Both ways are worth a test: the two have had different faults.
    """
    parameters = getattr(request.node, "callspec", None)
    with_file = parameters and FAUXQS_FILE in parameters.params.values()
    server: Fauxqs = request.getfixturevalue("fauxqs_with_file" if with_file else "fauxqs_server")
    return server


@pytest.fixture
def sqs_client(fauxqs: Fauxqs, sqs_client_of: Callable[[str], "SQSClient"]) -> "SQSClient":
    return sqs_client_of(fauxqs.endpoint)


@pytest.fixture
def valkey_url(valkey_server: Valkey) -> str:
    """Return the URL of an empty Valkey."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    return valkey_server.url


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[ValkeyClient]:
    async with valkey_client(valkey_url) as client:
        yield client


@contextmanager
def _database(server: Postgres, admin: Admin, *, template: str) -> Iterator[str]:
    """Make a database of the test's own, like the template; remove it at the end."""
    name = f"test_{next(NAMES)}"
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.dsn(name)
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_dsn(postgres_server: Postgres, postgres_admin: Admin) -> Iterator[str]:
    """Return a database of the test's own, with today's schema and no rows."""
    with _database(postgres_server, postgres_admin, template=TEMPLATE) as dsn:
        yield dsn


@pytest.fixture
def empty_postgres_dsn(postgres_server: Postgres, postgres_admin: Admin) -> Iterator[str]:
    """Return a database of the test's own with nothing in it."""
    with _database(postgres_server, postgres_admin, template="template1") as dsn:
        yield dsn


@pytest.fixture
def app_dsn(postgres_dsn: str) -> str:
    """Return the test's database for the role that functions and workers have on AWS."""
    return make_conninfo(postgres_dsn, user="axon_app", password="axon_app")


@pytest.fixture
async def pool(app_dsn: str) -> AsyncIterator[Pool]:
    async with postgres_pool(app_dsn) as opened:
        yield opened


@pytest.fixture
def sqs_endpoint(fauxqs: Fauxqs, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the endpoint of SQS, also set for clients that read AWS_ENDPOINT_URL_SQS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", fauxqs.endpoint)
    return fauxqs.endpoint


@pytest.fixture
def make_queue(sqs_endpoint: str, sqs_client: "SQSClient") -> Iterator[Callable[..., str]]:
    """Return a function that makes an empty queue like one of the local cloud's."""
    urls: list[str] = []

    def make(queue: Queue, *, dead_letter: str | None = None) -> str:
        suffix = ".fifo" if queue.name.endswith(".fifo") else ""
        name = f"{queue.name.removesuffix('.fifo')}-{next(NAMES)}{suffix}"
        attributes = queue.attributes(dead_letter=dead_letter)
        urls.append(sqs_client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])
        return urls[-1]

    yield make
    for url in urls:
        sqs_client.delete_queue(QueueUrl=url)


@pytest.fixture
def jobs_dead_queue_url(make_queue: Callable[..., str]) -> str:
    return make_queue(JOBS_DEAD)


@pytest.fixture
def jobs_queue_url(make_queue: Callable[..., str], jobs_dead_queue_url: str) -> str:
    return make_queue(JOBS, dead_letter=jobs_dead_queue_url.rpartition("/")[2])


@pytest.fixture
def parked_queue_url(make_queue: Callable[..., str]) -> str:
    return make_queue(JOBS_PARKED)


@pytest.fixture
def history_dead_queue_url(make_queue: Callable[..., str]) -> str:
    return make_queue(HISTORY_DEAD)


@pytest.fixture
def history_queue_url(make_queue: Callable[..., str], history_dead_queue_url: str) -> str:
    return make_queue(HISTORY, dead_letter=history_dead_queue_url.rpartition("/")[2])
