import json
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import boto3
import pytest
from moto import mock_aws

from axon.adapters.secrets import postgres_dsn
from axon.exceptions import SettingsError
from axon.settings import PostgresSettings

SECRET = {
    "username": "axon",
    "password": "p@ss/w:rd%?#",
    "host": "db.example.com",
    "port": 6432,
    "dbname": "prod",
}


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


def stored(secret: object) -> PostgresSettings:
    client = boto3.client("secretsmanager", region_name="us-east-1")
    arn = client.create_secret(Name="postgres", SecretString=json.dumps(secret))["ARN"]
    client.close()
    return PostgresSettings(postgres_secret_arn=arn)


def test_a_connection_string_that_is_set_is_taken() -> None:
    settings = PostgresSettings(postgres_dsn="postgresql://here", postgres_secret_arn="arn:other")
    assert postgres_dsn(settings) == "postgresql://here"


def test_the_secret_that_rds_keeps(aws: None) -> None:
    parts = urlsplit(postgres_dsn(stored(SECRET)))
    assert parts.scheme == "postgresql"
    assert (parts.hostname, parts.port, parts.path) == ("db.example.com", 6432, "/prod")
    assert parts.username == "axon"
    assert unquote(parts.password or "") == SECRET["password"]


def test_port_and_name_have_defaults(aws: None) -> None:
    secret = {"username": "axon", "password": "secret", "host": "db"}
    assert postgres_dsn(stored(secret)) == "postgresql://axon:secret@db:5432/axon"


@pytest.mark.parametrize("missing", ["username", "password", "host"])
def test_a_part_that_is_missing_is_named_and_nothing_secret_is(aws: None, missing: str) -> None:
    secret = {name: value for name, value in SECRET.items() if name != missing}
    with pytest.raises(SettingsError, match=f"has no '{missing}'") as caught:
        postgres_dsn(stored(secret))
    assert "p@ss" not in str(caught.value)


def test_neither_is_set() -> None:
    with pytest.raises(SettingsError, match="AXON_POSTGRES_DSN or AXON_POSTGRES_SECRET_ARN"):
        postgres_dsn(PostgresSettings())
