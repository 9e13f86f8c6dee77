"""Principal: who asks, as the authorizer found out and every later step of a request carries it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

ALL_SCOPES = frozenset({"responses:read", "responses:write"})
"""Everything that an API key can be allowed. Scopes are recorded, not enforced yet.

``responses:write`` stands for creating and cancelling responses, ``responses:read`` for resuming
and following them.
"""

REFUSED = "refused"
"""Field of an authorizer's context: the HTTP status with which `functions/connect` is to refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The tenant and the API key behind a request, and what that key is allowed.

    Parameters
    ----------
    tenant_id : str
        Owner of everything that the request makes; what other tenants own is invisible to it.
    key_id : str
        Id of the API key; empty where no key was used or none was recorded.
    scopes : frozenset[str]
        What the key is allowed, out of `ALL_SCOPES`. Recorded, not enforced yet.
    """

    tenant_id: str
    key_id: str
    scopes: frozenset[str]

    def to_context(self) -> dict[str, str]:
        """Return the authorizer's context, which API Gateway hands to every later integration.

        Its values are strings because API Gateway takes no lists (only strings, numbers and
        booleans).
        """
        return {
            "tenant_id": self.tenant_id,
            "key_id": self.key_id,
            "scopes": encode_scopes(self.scopes),
        }

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Self:
        """Return the principal of an authorizer's context.

        API Gateway keeps the context for as long as the connection lives, so one from before a
        deployment may have no scopes: its key was then allowed everything.
        """
        return cls(
            tenant_id=context["tenant_id"],
            key_id=context.get("key_id", ""),
            scopes=decode_scopes(context["scopes"]) if "scopes" in context else ALL_SCOPES,
        )


def encode_scopes(scopes: frozenset[str]) -> str:
    """Return scopes as one string: sorted, separated by spaces, as OAuth 2 does (RFC 6749)."""
    return " ".join(sorted(scopes))


def decode_scopes(text: str) -> frozenset[str]:
    """Return the scopes that `encode_scopes` wrote."""
    return frozenset(text.split())
