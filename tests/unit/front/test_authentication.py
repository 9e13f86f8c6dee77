from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from axon.tenants.principal import Principal
from front.authentication import Authenticator
from tests.support.principals import a_principal
from tests.unit.axon.samples import MODEL, TENANT
from tests.unit.front.front_harness import RECENT_KEY, FrontHarness

BALANCER = "10.40.0.7"


class RecordingKeys:
    """Takes each key, and notes the address that it came from."""

    def __init__(self) -> None:
        self.address: str | None = "none yet"

    async def authenticate(self, _secret: str, *, address: str | None = None) -> Principal:
        self.address = address
        return a_principal("tenant")

    def recent(self, _secret: str) -> None:
        return None


@pytest.mark.parametrize(
    ("trusted_proxies", "forwarded", "address"),
    [
        # Nobody is trusted: a client may write what it likes.
        (0, ["203.0.113.9"], BALANCER),
        (1, ["203.0.113.9"], "203.0.113.9"),
        # What stands before the balancer's own entry is the client's text, also in another header.
        (1, ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        (1, ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        (2, ["198.51.100.1, 203.0.113.9, 192.0.2.5"], "203.0.113.9"),
        (1, ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        # It has not passed all proxies: counted by who connects.
        (1, [], BALANCER),
        (1, [""], BALANCER),
        (2, ["203.0.113.9"], BALANCER),
        # No address: counted by nothing, as it is of a connection without one.
        (1, ["unknown"], None),
    ],
)
async def test_authenticator_takes_the_clients_address_from_trusted_proxies_alone(
    trusted_proxies: int, forwarded: list[str], address: str | None
) -> None:
    keys = RecordingKeys()
    headers = CIMultiDict([("Authorization", "Bearer sk-right")])
    for value in forwarded:
        headers.add("X-Forwarded-For", value)
    request = make_mocked_request("GET", "/v1/models", headers=headers).clone(remote=BALANCER)
    authenticator = Authenticator(keys=keys, trusted_proxies=trusted_proxies)
    await authenticator.authenticate(request)
    assert keys.address == address


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"input": "hello"}),
        ("/v1/responses", {"input": "hello", "previous_response_id": "resp_unknown"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hello"}]}),
        ("/v1/completions", {"prompt": "hello"}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}),
        ("/v1/responses/input_tokens", {"input": "hello"}),
    ],
)
async def test_key_that_was_revoked_a_moment_ago_is_refused_at_once(
    harness: FrontHarness, path: str, body: dict[str, Any]
) -> None:
    harness.responses.valkey.revoked_keys.add(a_principal(TENANT).key_id)
    headers = {"Authorization": f"Bearer {RECENT_KEY}", "Idempotency-Key": "one"}
    for _ in range(2):
        async with harness.client.post(
            path, json={"model": MODEL} | body, headers=headers
        ) as answer:
            assert answer.status == 401
    assert harness.responses.jobs_sent() == []
