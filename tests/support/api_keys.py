"""API keys over fakes, or over the parts that a test gives."""

from axon.tenants.api_keys import ApiKeys, ApiKeyStore, PrincipalCache
from axon.tenants.revocation import OpenConnections
from axon.tenants.wrong_keys import WrongKeys
from axon.testing.api_keys import FakeOpenConnections, FakeWrongKeys
from axon.testing.stores import FakeApiKeyStore, FakePrincipalCache


def api_keys(
    *,
    store: ApiKeyStore | None = None,
    cache: PrincipalCache | None = None,
    wrong_keys: WrongKeys | None = None,
    connections: OpenConnections | None = None,
) -> ApiKeys:
    """Return API keys; a part that is not given is a fake of its own."""
    return ApiKeys(
        store=store or FakeApiKeyStore(),
        cache=cache or FakePrincipalCache(),
        wrong_keys=wrong_keys or FakeWrongKeys(),
        connections=connections or FakeOpenConnections(),
    )
