"""Payload stores: what is put comes back as it was, and what is gone or changed is said to be."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import boto3
import pytest
from botocore.config import Config

from axon.adapters.aws.credentials import FixedCredentials
from axon.adapters.aws.s3 import S3PayloadStore
from axon.exceptions import LostPayloadError, PermanentRefusalError
from axon.payloads import PayloadReference, PayloadStore, payload_key
from axon.retry import RetryPolicy
from axon.testing.payloads import FakePayloadStore
from local.services.fauxqs import Fauxqs

REGION = "us-east-1"
KEY = payload_key("input", tenant_id="a tenant+ä%=", response_id="resp_1", stored=True)


@dataclass(frozen=True, kw_only=True)
class PayloadsHarness:
    """A store, and a way to change what it holds behind its back."""

    store: PayloadStore
    overwrite: Callable[[str, bytes], Awaitable[object]]


def s3_store(fauxqs: Fauxqs, *, bucket: str) -> S3PayloadStore:
    return S3PayloadStore(
        bucket=bucket,
        endpoint=fauxqs.endpoint,
        region=REGION,
        credentials=FixedCredentials("id", "secret", None).current,
        retry=RetryPolicy(errors=(OSError, TimeoutError), max_attempts=1),
    )


@pytest.fixture(params=["fake", "real"])
async def payloads(request: pytest.FixtureRequest) -> AsyncIterator[PayloadsHarness]:
    if request.param == "fake":
        fake = FakePayloadStore()

        async def change(key: str, content: bytes) -> None:
            fake.content[key] = content

        yield PayloadsHarness(store=fake, overwrite=change)
        return
    fauxqs: Fauxqs = request.getfixturevalue("fauxqs_server")
    style = Config(s3={"addressing_style": "path"})
    boto3.client(
        "s3", endpoint_url=fauxqs.endpoint, region_name=REGION, config=style
    ).create_bucket(Bucket="payloads")
    async with s3_store(fauxqs, bucket="payloads") as store:

        async def put(key: str, content: bytes) -> None:
            await store.put(PayloadReference.of(content, key=key), content)

        yield PayloadsHarness(store=store, overwrite=put)


async def test_payload_store_gives_back_what_was_put_until_it_is_deleted(
    payloads: PayloadsHarness,
) -> None:
    content = bytes(range(256)) * 8_000  # 2 MB, of any bytes
    reference = PayloadReference.of(content, key=KEY)
    for _ in range(2):  # also after a repetition
        await payloads.store.put(reference, content)
    assert await payloads.store.get(reference) == content

    for _ in range(2):
        await payloads.store.delete(KEY)
    with pytest.raises(LostPayloadError):
        await payloads.store.get(reference)


async def test_payload_store_takes_no_other_content_for_a_payload(
    payloads: PayloadsHarness,
) -> None:
    reference = PayloadReference.of(b"what was put", key=KEY)
    await payloads.store.put(reference, b"what was put")
    await payloads.overwrite(KEY, b"something else")
    with pytest.raises(LostPayloadError):
        await payloads.store.get(reference)


async def test_s3_payload_store_without_its_bucket_is_refused_for_good(
    fauxqs_server: Fauxqs,
) -> None:
    async with s3_store(fauxqs_server, bucket="no-such-bucket") as store:
        reference = PayloadReference.of(b"x", key=KEY)
        with pytest.raises(PermanentRefusalError, match="NoSuchBucket"):
            await store.put(reference, b"x")
        with pytest.raises(PermanentRefusalError, match="NoSuchBucket"):
            await store.get(reference)
