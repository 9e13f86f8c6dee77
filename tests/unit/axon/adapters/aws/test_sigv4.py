"""The signer against botocore's, which AWS itself maintains."""

from datetime import UTC, datetime
from hashlib import sha256
from unittest.mock import patch
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from axon.adapters.aws.sigv4 import SigV4Signer

HOST = "abcdef.execute-api.us-east-1.amazonaws.com"
SECONDS = st.integers(0, 2**32)
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
SEGMENTS = st.text(min_size=1, max_size=30).filter(lambda text: text.strip("."))
CREDENTIALS = st.builds(
    ReadOnlyCredentials,
    access_key=VISIBLE,
    secret_key=VISIBLE,
    token=st.none() | VISIBLE,
)


def by_botocore(
    *,
    method: str,
    url: str,
    body: bytes,
    credentials: ReadOnlyCredentials,
    now: float,
    service: str = "execute-api",
    region: str = "us-east-1",
    target: str | None = None,
) -> str:
    request = AWSRequest(method, url, data=body, headers={"X-Amz-Target": target} if target else {})
    access_key, secret_key = str(credentials.access_key), str(credentials.secret_key)
    keys = Credentials(access_key, secret_key, credentials.token)
    time = datetime.fromtimestamp(int(now), UTC)
    with patch("botocore.auth.get_current_datetime", return_value=time):
        signer = S3SigV4Auth if service == "s3" else SigV4Auth
        signer(keys, service, region).add_auth(request)
    return str(request.headers["Authorization"])


@given(
    method=st.sampled_from(["POST", "DELETE", "GET"]),
    segments=st.lists(SEGMENTS, max_size=4),
    body=st.binary(max_size=300),
    credentials=CREDENTIALS,
    now=SECONDS,
)
def test_signer_signs_like_botocore(
    method: str,
    segments: list[str],
    body: bytes,
    credentials: ReadOnlyCredentials,
    now: int,
) -> None:
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    signer = SigV4Signer(service="execute-api", region="us-east-1", host=HOST)
    headers = signer.sign(method=method, path=path, body=body, credentials=credentials, now=now)
    assert headers["Authorization"] == by_botocore(
        method=method, url=f"https://{HOST}{path}", body=body, credentials=credentials, now=now
    )


@given(
    region=st.sampled_from(["us-east-1", "eu-central-1"]),
    host=st.sampled_from(["127.0.0.1:8000", "localhost:9", "sqs.eu-central-1.amazonaws.com"]),
    operation=st.sampled_from(["AmazonSQS.SendMessage", "AmazonSQS.ReceiveMessage"]),
    body=st.binary(max_size=50),
    credentials=CREDENTIALS,
)
def test_signer_signs_other_hosts_and_services_like_botocore(
    region: str, host: str, operation: str, body: bytes, credentials: ReadOnlyCredentials
) -> None:
    signer = SigV4Signer(service="sqs", region=region, host=host)
    headers = signer.sign(
        method="POST", path="/", body=body, credentials=credentials, now=1e9, target=operation
    )
    assert headers["X-Amz-Target"] == operation
    assert headers["Authorization"] == by_botocore(
        method="POST",
        url=f"http://{host}/",
        body=body,
        credentials=credentials,
        now=1e9,
        service="sqs",
        region=region,
        target=operation,
    )


@given(
    requests=st.lists(
        st.tuples(st.sampled_from(["one", "two"]), st.integers(0, 3 * 86_400)),
        min_size=2,
        max_size=8,
    )
)
def test_signer_handles_changing_days_and_keys(requests: list[tuple[str, int]]) -> None:
    signer = SigV4Signer(service="execute-api", region="us-east-1", host=HOST)
    for secret, now in requests:
        keys = ReadOnlyCredentials("AKID", secret, None)
        headers = signer.sign(method="POST", path="/a", body=b"", credentials=keys, now=now)
        assert headers["Authorization"] == by_botocore(
            method="POST", url=f"https://{HOST}/a", body=b"", credentials=keys, now=now
        )


@pytest.mark.parametrize("token", [None, "token"])
def test_signer_returns_the_signed_headers(token: str | None) -> None:
    signer = SigV4Signer(service="execute-api", region="us-east-1", host=HOST)
    headers = signer.sign(
        method="POST",
        path="/responses/@connections/L0SM9cOFvHcCIhw%3D",
        body=b"{}",
        credentials=ReadOnlyCredentials("AKID", "secret", token),
        now=1_000_000_000.9,
    )
    signature = headers.pop("Authorization")
    sent = {"Host": HOST, "X-Amz-Date": "20010909T014640Z"}
    assert headers == sent | ({"X-Amz-Security-Token": token} if token else {})
    signed = ";".join(sorted(name.lower() for name in headers))
    assert f"SignedHeaders={signed}, " in signature
    assert "Credential=AKID/20010909/us-east-1/execute-api/aws4_request, " in signature


@given(segments=st.lists(SEGMENTS, max_size=4), body=st.binary(max_size=300), keys=CREDENTIALS)
def test_signer_signs_s3_like_botocore(
    segments: list[str], body: bytes, keys: ReadOnlyCredentials
) -> None:
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    signer = SigV4Signer(service="s3", region="us-east-1", host="s3.us-east-1.amazonaws.com")
    headers = signer.sign(method="PUT", path=path, body=body, credentials=keys, now=1e9)
    assert headers["X-Amz-Content-Sha256"] == sha256(body).hexdigest()
    assert headers["Authorization"] == by_botocore(
        method="PUT",
        url=f"https://s3.us-east-1.amazonaws.com{path}",
        body=body,
        credentials=keys,
        now=1e9,
        service="s3",
    )
