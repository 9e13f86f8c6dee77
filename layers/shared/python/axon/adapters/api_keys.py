"""Composition root of the API keys, for the functions and the local cloud."""

from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.stores import PostgresApiKeyStore
from axon.adapters.valkey.api_keys import ValkeyOpenConnections, ValkeyWrongKeys
from axon.adapters.valkey.caches import ValkeyPrincipalCache
from axon.adapters.valkey.client import Valkey
from axon.tenants.api_keys import ApiKeys


def api_keys(*, valkey: Valkey, pool: Pool, stale_s: float = 60.0) -> ApiKeys:
    """Return the keys of a database with what Valkey knows of them; the caller closes both.

    Parameters
    ----------
    valkey : Valkey
        Keeps cached, unknown and revoked keys.
    pool : Pool
        Connections to the database.
    stale_s : float
        Seconds since its last look-up for which a key is accepted while the database is away.
    """
    return ApiKeys(
        store=PostgresApiKeyStore(pool=pool),
        cache=ValkeyPrincipalCache(valkey=valkey),
        wrong_keys=ValkeyWrongKeys(valkey=valkey),
        connections=ValkeyOpenConnections(valkey=valkey),
        stale_s=stale_s,
    )
