"""Secrets Manager: where the database's credentials are kept on AWS."""

from urllib.parse import quote

import boto3

from axon.exceptions import SettingsError
from axon.serialization import loads
from axon.settings import PostgresSettings


def postgres_dsn(settings: PostgresSettings) -> str:
    """Return the database's connection string: as set, or from the secret that RDS keeps.

    Raises
    ------
    SettingsError : neither is set, or the secret lacks a part.
    """
    if settings.postgres_dsn:
        return settings.postgres_dsn
    if not settings.postgres_secret_arn:
        raise SettingsError("set AXON_POSTGRES_DSN or AXON_POSTGRES_SECRET_ARN")
    client = boto3.client("secretsmanager", region_name=settings.aws_region)
    answer = client.get_secret_value(SecretId=settings.postgres_secret_arn)
    secret = loads(answer["SecretString"])
    try:
        user, password = quote(secret["username"], safe=""), quote(secret["password"], safe="")
        host, port, name = secret["host"], secret.get("port", 5432), secret.get("dbname", "axon")
    except KeyError as error:
        raise SettingsError(
            f"the secret {settings.postgres_secret_arn} has no {error}; RDS writes "
            "username, password, host, port and dbname"
        ) from error
    return f"postgresql://{user}:{password}@{host}:{port}/{name}"
