"""Logins by secret and by IAM, and TLS; the server is a PostgreSQL whose passwords play RDS."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import boto3
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from axon.adapters.aws.credentials import process_credentials
from axon.adapters.aws.iam_tokens import postgres_token
from axon.adapters.postgres import login as postgres_login
from axon.adapters.postgres.pool import Pool, create_pool, transaction
from axon.exceptions import SettingsError, UnavailableError
from axon.settings import PostgresSettings
from tests.support.moto_aws import moto_aws
from tests.support.tls import Authority, terminator

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

USER = "login_test"
REGION = "us-east-1"


class Role:
    """A role of the server, and the string that names it without a password."""

    def __init__(self, admin: "psycopg.Connection[tuple[object, ...]]", dsn: str) -> None:
        self._admin = admin
        self.dsn = make_conninfo(dsn, user=USER, password="not this one")
        parts = conninfo_to_dict(dsn)
        self.host, self.port = str(parts["host"]), int(parts["port"] or 0)

    def password(self, text: str) -> None:
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
        self._admin.execute(statement.format(sql.Identifier(USER), sql.Literal(text)))

    def token(self, now: float) -> str:
        return postgres_token(
            user=USER,
            host=self.host,
            port=self.port,
            region=REGION,
            credentials=process_credentials().current(),
            now=now,
        )

    def hang_up(self) -> None:
        self._admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [USER]
        )


@pytest.fixture
def role(
    postgres_admin: "psycopg.Connection[tuple[object, ...]]", postgres_dsn: str
) -> Iterator[Role]:
    postgres_admin.execute(f"CREATE ROLE {USER} LOGIN")
    yield Role(postgres_admin, postgres_dsn)
    postgres_admin.execute(f"DROP ROLE {USER}")


@asynccontextmanager
async def opened(settings: PostgresSettings) -> AsyncIterator[Pool]:
    pool = create_pool(settings, max_size=1)
    try:
        yield pool
    finally:
        await pool.close()


async def who(pool: Pool) -> str:
    async with transaction(pool, any_schema=True) as connection:
        row = await (await connection.execute("SELECT current_user AS name")).fetchone()
    assert row is not None
    return str(row["name"])


class TestPostgresIamLogin:
    async def test_gives_each_connection_its_own_token(
        self, role: Role, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = PostgresSettings(postgres_dsn=role.dsn, postgres_iam=True)
        async with opened(settings) as pool:
            for now in (1e9, 1e9 + 3600):
                clock = SimpleNamespace(time=lambda now=now: now)
                monkeypatch.setattr(postgres_login, "time", clock)
                role.password(role.token(now))
                assert await who(pool) == USER
                role.hang_up()

    @pytest.mark.parametrize("dsn", ["postgresql://axon_app@/axon", "postgresql://db:5432/axon"])
    def test_refuses_a_dsn_without_host_or_user(self, dsn: str) -> None:
        with pytest.raises(SettingsError, match="AXON_POSTGRES_DSN needs a host and a user"):
            create_pool(PostgresSettings(postgres_dsn=dsn, postgres_iam=True))


class TestPostgresSecretLogin:
    @pytest.fixture
    async def secrets(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator["SecretsManagerClient"]:
        async with moto_aws("secretsmanager") as endpoint:
            client = boto3.client("secretsmanager", region_name=REGION)
            monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETSMANAGER", endpoint)
            yield client
            client.close()

    def settings(
        self, role: Role, secrets: "SecretsManagerClient", **secret: str
    ) -> PostgresSettings:
        arn = secrets.create_secret(Name="owner", SecretString=json.dumps(secret))["ARN"]
        return PostgresSettings(postgres_dsn=role.dsn, postgres_secret_arn=arn)

    def rotate(self, secrets: "SecretsManagerClient", password: str) -> None:
        secret = {"username": USER, "password": password}
        secrets.put_secret_value(SecretId="owner", SecretString=json.dumps(secret))

    async def test_connects_with_the_user_and_password_of_the_secret(
        self, role: Role, secrets: "SecretsManagerClient"
    ) -> None:
        role.password("p@ss/w:rd%?# '\\")
        settings = self.settings(role, secrets, username=USER, password="p@ss/w:rd%?# '\\")
        async with opened(settings) as pool:
            assert await who(pool) == USER

    async def test_reads_a_rotated_secret_again(
        self, role: Role, secrets: "SecretsManagerClient"
    ) -> None:
        role.password("first")
        async with opened(self.settings(role, secrets, username=USER, password="first")) as pool:
            assert await who(pool) == USER
            role.password("second")
            self.rotate(secrets, "second")
            assert await who(pool) == USER  # a connection that is open stays
            role.hang_up()
            assert await who(pool) == USER

    async def test_retries_while_the_secret_is_behind_the_server(
        self,
        role: Role,
        secrets: "SecretsManagerClient",
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        role.password("second")
        settings = self.settings(role, secrets, username=USER, password="first")
        read = postgres_login.login_of(settings)
        asked = 0

        async def login() -> dict[str, str]:
            nonlocal asked
            asked += 1
            if asked == 2:
                self.rotate(secrets, "second")
            return await read()

        monkeypatch.setattr("axon.adapters.postgres.pool.login_of", lambda _: login)
        async with opened(settings) as pool:
            assert await who(pool) == USER
        assert asked == 2
        assert "password authentication failed" in caplog.text

    async def test_is_unavailable_with_a_secret_without_a_password(
        self, role: Role, secrets: "SecretsManagerClient", caplog: pytest.LogCaptureFixture
    ) -> None:
        settings = self.settings(role, secrets, username=USER)
        async with opened(settings) as pool:
            pool.timeout = 0.5
            with pytest.raises(UnavailableError):
                await who(pool)
        assert f"{settings.postgres_secret_arn} has no 'password'" in caplog.text


class TestPostgresTls:
    """The wheel's own OpenSSL knows no certificates: `SSL_CERT_FILE` names them."""

    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority.create(tmp_path)

    @pytest.fixture
    async def port(self, role: Role, authority: Authority) -> AsyncIterator[int]:
        role.password("secret")
        async with terminator(role.port, authority=authority, postgres=True) as port:
            yield port

    def settings(self, role: Role, port: int, host: str = "localhost") -> PostgresSettings:
        dsn = make_conninfo(
            role.dsn, host=host, port=port, password="secret",
            sslmode="verify-full", sslrootcert="system",
        )  # fmt: skip
        return PostgresSettings(postgres_dsn=dsn)

    async def refusal(self, settings: PostgresSettings, caplog: pytest.LogCaptureFixture) -> str:
        async with opened(settings) as pool:
            pool.timeout = 0.5
            with pytest.raises(UnavailableError):
                await who(pool)
        return caplog.text

    async def test_connects_to_a_trusted_server(
        self, role: Role, port: int, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        async with opened(self.settings(role, port)) as pool:
            assert await who(pool) == USER

    async def test_refuses_a_server_with_an_untrusted_certificate(
        self,
        role: Role,
        port: int,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        assert "certificate verify failed" in await self.refusal(self.settings(role, port), caplog)

    async def test_refuses_a_certificate_of_another_host(
        self,
        role: Role,
        port: int,
        authority: Authority,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        said = await self.refusal(self.settings(role, port, host="127.0.0.1"), caplog)
        assert 'does not match host name "127.0.0.1"' in said
