"""Principals for tests."""

from axon.tenants.principal import ALL_SCOPES, Principal


def a_principal(
    tenant_id: str = "t", *, key_id: str = "key_1", scopes: frozenset[str] = ALL_SCOPES
) -> Principal:
    """Return a principal whose key is allowed everything, unless `scopes` says otherwise."""
    return Principal(tenant_id=tenant_id, key_id=key_id, scopes=scopes)
