import pytest

from axon.tenants.principal import ALL_SCOPES, Principal, decode_scopes, encode_scopes
from tests.support.principals import a_principal

SCOPES = [ALL_SCOPES, frozenset({"responses:read"}), frozenset[str]()]


@pytest.mark.parametrize("scopes", SCOPES)
def test_principal_goes_through_the_authorizers_context(scopes: frozenset[str]) -> None:
    principal = a_principal("acme", key_id="key_7", scopes=scopes)
    context = principal.to_context()
    assert all(isinstance(value, str) for value in context.values())
    assert Principal.from_context(context | {"integrationLatency": 12}) == principal


def test_principal_of_a_context_from_before_scopes_is_allowed_everything() -> None:
    context = {"tenant_id": "acme", "key_id": "key_7"}
    assert Principal.from_context(context) == a_principal("acme", key_id="key_7")


def test_principal_needs_a_tenant() -> None:
    with pytest.raises(KeyError):
        Principal.from_context({"key_id": "key_7"})


@pytest.mark.parametrize("scopes", SCOPES)
def test_scopes_are_encoded_in_one_order(scopes: frozenset[str]) -> None:
    assert decode_scopes(encode_scopes(scopes)) == scopes
    assert encode_scopes(ALL_SCOPES) == "responses:read responses:write"
