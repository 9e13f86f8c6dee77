"""Payloads: what is too large for a queue's message, and the store that keeps it meanwhile."""

from hashlib import sha256
from typing import Protocol, Self

from pydantic import BaseModel, ConfigDict


class PayloadReference(BaseModel):
    """The place of a payload, and what is to be found there.

    It travels in messages instead of the payload, which no message could carry.

    Parameters
    ----------
    key : str
        The payload's key in the store.
    size : int
        Its bytes.
    sha256 : str
        Its SHA-256, in hexadecimal digits.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    key: str
    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes, *, key: str) -> Self:
        """Return the reference of a payload that is to be put under a key."""
        return cls(key=key, size=len(content), sha256=sha256(content).hexdigest())

    def matches(self, content: bytes) -> bool:
        """Return whether the content is what was put there."""
        return len(content) == self.size and sha256(content).hexdigest() == self.sha256


class PayloadStore(Protocol):
    """Keeps payloads under their keys until they are deleted, or expire after days."""

    async def put(self, reference: PayloadReference, content: bytes) -> None:
        """Keep a payload; the same one may be put again.

        Raises
        ------
        UnavailableError
            The store is away, or refuses (`PermanentRefusalError`).
        """
        ...

    async def get(self, reference: PayloadReference) -> bytes:
        """Return a payload, which is as it was put.

        Raises
        ------
        LostPayloadError
            The store does not have it any more, or it is another one.
        UnavailableError
            The store is away, or refuses (`PermanentRefusalError`).
        """
        ...

    async def delete(self, key: str) -> None:
        """Delete a payload; one that is not there counts as deleted.

        Raises
        ------
        UnavailableError
            The store is away, or refuses (`PermanentRefusalError`).
        """
        ...


def payload_key(name: str, *, tenant_id: str, response_id: str, stored: bool) -> str:
    """Return the key of a response's payload.

    The bucket's rules of expiry go by its first part: what is stored may wait in a dead-letter
    queue for weeks, the rest is used for hours at most. The tenant follows, so that a policy can
    name its payloads.

    Parameters
    ----------
    name : str
        The payload's name within the response, for example ``input``.
    tenant_id, response_id : str
        Whose it is.
    stored : bool
        True if the response is stored.
    """
    return f"{'stored' if stored else 'unstored'}/{tenant_id}/{response_id}/{name}"
