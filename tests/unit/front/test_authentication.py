import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from axon.tenants.principal import Principal
from front.authentication import Authenticator
from tests.support.principals import a_principal

BALANCER = "10.40.0.7"


class RecordingKeys:
    """Takes each key, and notes the address that it came from."""

    def __init__(self) -> None:
        self.address: str | None = "none yet"

    async def authenticate(self, _secret: str, *, address: str | None = None) -> Principal:
        self.address = address
        return a_principal("tenant")


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
