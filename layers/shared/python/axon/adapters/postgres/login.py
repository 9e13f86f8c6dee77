"""Logins of new connections to PostgreSQL: by the connection string, by a secret, or by IAM."""

import time
from collections.abc import Awaitable, Callable

from psycopg.conninfo import conninfo_to_dict

from axon.adapters.aws.credentials import process_credentials
from axon.adapters.aws.iam_tokens import postgres_token
from axon.exceptions import SettingsError
from axon.settings import PostgresSettings

Login = Callable[[], Awaitable[dict[str, str]]]
"""Returns what a connection needs beyond the string; asked for each one."""


def login_of(settings: PostgresSettings) -> Login:
    """Return the login that the settings describe.

    Raises
    ------
    SettingsError
        IAM needs what the connection string or the environment does not have.
    """
    if settings.postgres_secret_arn:
        return _by_secret(settings.postgres_secret_arn, region=settings.aws_region)
    if settings.postgres_iam:
        return _by_iam(settings.postgres_dsn, region=settings.aws_region)
    return _as_it_is


async def _as_it_is() -> dict[str, str]:
    return {}


def _by_secret(arn: str, *, region: str) -> Login:
    from axon.adapters.aws.secrets import read_secret  # its HTTP client takes long to import

    async def login() -> dict[str, str]:
        # Read for each connection: RDS rotates it, and a refused login is tried again.
        secret = await read_secret(arn, region=region)
        try:
            return {"user": secret["username"], "password": secret["password"]}
        except KeyError as error:
            raise SettingsError(f"the secret {arn} has no {error}") from error

    return login


def _by_iam(dsn: str, *, region: str) -> Login:
    parts = conninfo_to_dict(dsn)
    host, user = parts.get("host"), parts.get("user")
    if not host or not user:
        raise SettingsError("AXON_POSTGRES_DSN needs a host and a user for AXON_POSTGRES_IAM")
    port = int(parts.get("port") or 5432)
    credentials = process_credentials()

    async def login() -> dict[str, str]:
        token = postgres_token(
            user=str(user),
            host=str(host),
            port=port,
            region=region,
            credentials=credentials.current(),
            now=time.time(),
        )
        return {"password": token}

    return login
