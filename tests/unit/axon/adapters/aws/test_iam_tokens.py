"""The tokens against botocore's own."""

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from unittest.mock import patch

import boto3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from hypothesis import example, given
from hypothesis import strategies as st

from axon.adapters.aws.iam_tokens import postgres_token, valkey_token

SECONDS = st.integers(0, 2**32)
REGIONS = st.sampled_from(["us-east-1", "eu-central-1", "cn-north-1"])
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
CREDENTIALS = st.builds(
    ReadOnlyCredentials, access_key=VISIBLE, secret_key=VISIBLE, token=st.none() | VISIBLE
)
KEY = ReadOnlyCredentials("AKIA", "secret", None)
HOSTS = ["axon.abc.eu-central-1.rds.amazonaws.com", "Axon.example.com"]


def at(now: int) -> AbstractContextManager[object]:
    return patch(
        "botocore.auth.get_current_datetime", return_value=datetime.fromtimestamp(now, UTC)
    )


@given(user=VISIBLE, cache=st.sampled_from(["axon-prod", "Axon-Prod"]), region=REGIONS, now=SECONDS,
       credentials=CREDENTIALS)  # fmt: skip
def test_valkey_token_is_botocores(
    user: str, cache: str, region: str, now: int, credentials: ReadOnlyCredentials
) -> None:
    request = AWSRequest("GET", "http://axon-prod/", params={"Action": "Connect", "User": user})
    keys = Credentials(str(credentials.access_key), str(credentials.secret_key), credentials.token)
    with at(now):
        SigV4QueryAuth(keys, "elasticache", region, expires=900).add_auth(request)
    token = valkey_token(
        user=user, cache=cache, region=region, credentials=credentials, now=now + 0.9
    )
    assert token == str(request.url).removeprefix("http://")


@given(user=VISIBLE, host=st.sampled_from(HOSTS), port=st.integers(1, 65535), region=REGIONS,
       now=SECONDS, credentials=CREDENTIALS)  # fmt: skip
@example(user="axon_app", host=HOSTS[0], port=443, region="us-east-1", now=0, credentials=KEY)
def test_postgres_token_is_botocores(
    user: str, host: str, port: int, region: str, now: int, credentials: ReadOnlyCredentials
) -> None:
    client = boto3.client(
        "rds",
        region_name=region,
        aws_access_key_id=str(credentials.access_key),
        aws_secret_access_key=str(credentials.secret_key),
        aws_session_token=credentials.token,
    )
    with at(now):
        expected = client.generate_db_auth_token(host, port, user)
    token = postgres_token(
        user=user, host=host, port=port, region=region, credentials=credentials, now=now
    )
    assert token == expected
