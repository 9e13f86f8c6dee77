"""Presigned URLs against botocore's, which AWS itself maintains."""

from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from axon.adapters.aws.credentials import FixedCredentials
from axon.adapters.aws.presigned import S3UploadSigner
from axon.payloads import PayloadReference
from axon.uploads import URL_S

NOW = 1_790_000_000


@pytest.mark.parametrize("token", [None, "a/token+with=signs"])
def test_presigned_upload_is_signed_like_botocore(token: str | None) -> None:
    content = b'{"model": "m"}'
    reference = PayloadReference.of(content, key="uploads/a%20tenant/1f")
    made = S3UploadSigner(
        bucket="axon-payloads",
        endpoint="https://s3.eu-central-1.amazonaws.com/",
        region="eu-central-1",
        credentials=FixedCredentials("AKID", "secret", token).current,
        clock=lambda: NOW + 0.9,
    ).sign(reference)
    digest = b64encode(sha256(content).digest()).decode()
    assert made.headers == {"Content-Length": "14", "x-amz-checksum-sha256": digest}
    assert made.expires_at == NOW + URL_S

    request = AWSRequest("PUT", made.url.partition("?")[0], headers=dict(made.headers))
    with patch("botocore.auth.get_current_datetime", return_value=datetime.fromtimestamp(NOW, UTC)):
        keys = Credentials("AKID", "secret", token)
        S3SigV4QueryAuth(keys, "s3", "eu-central-1", expires=URL_S).add_auth(request)
    theirs, ours = urlsplit(str(request.url)), urlsplit(made.url)
    assert parse_qs(ours.query) == parse_qs(theirs.query)
    assert ours[:3] == theirs[:3]
