"""The memory that a process counts for requests: while they arrive, and until they are accepted."""

from collections import Counter

from axon.byte_budget import ByteBudget
from axon.exceptions import RequestError

TENANT_SHARE = 4
"""A tenant gets a quarter of what a process has of such room, so that it cannot stop others."""
TENANT_BODIES = 3
"""But room for this number of the longest bodies, if that leaves room for others."""
DECODING_S = 10.0
"""Seconds that a long body waits until there is memory to decode it."""
VALUE_BYTES = 500
"""Memory of a value, as it is counted before decoding, in all forms that it takes until its job is
queued (ADR 38)."""
COPIES, WIDE_COPIES = 4, 9
"""The texts of a body in these forms, as multiples of its bytes: decoded, and encoded twice over;
of a text with one character outside the BMP each takes four bytes."""


def decoded_bytes(body: bytes | bytearray, *, values: int) -> int:
    """Return the memory that a body takes at most, once it is decoded."""
    wide = not body.isascii() or b"\\u" in body
    return (WIDE_COPIES if wide else COPIES) * len(body) + VALUE_BYTES * values


class HeldBytes:
    """Counts the bytes that a process holds of what still arrives: of each tenant, and of all.

    Parameters
    ----------
    most : int
        Bytes that are held together.
    longest : int
        Bytes of the longest body: one always fits.

    Attributes
    ----------
    count : int
        Bytes that are held now.
    longest : int
        As above.
    """

    def __init__(self, *, most: int, longest: int) -> None:
        self.count = 0
        self.longest = longest
        self._most = max(longest, most)
        bodies = min(TENANT_BODIES * longest, most * 3 // 5)
        self._most_of_tenant = max(longest, bodies, most // TENANT_SHARE)
        self._by_tenant = Counter[str]()

    def hold(self, count: int, *, tenant_id: str) -> None:
        """Count bytes that are held from now on, until `release`.

        Raises
        ------
        RequestError
            Too many are held at once, of the tenant or of all.
        """
        if self._by_tenant[tenant_id] + count > self._most_of_tenant:
            raise RequestError(
                "Too many of your requests arrive at once. Send this one again when others have "
                "arrived.",
                code="rate_limit_exceeded",
                status=429,
            )
        if self.count + count > self._most:
            raise RequestError(
                "Too many requests arrive at once. Send this one again in a moment.",
                code="server_overloaded",
                status=503,
            )
        self._add(count, tenant_id)

    def release(self, count: int, *, tenant_id: str) -> None:
        """Count bytes no longer that were held."""
        self._add(-count, tenant_id)
        if not self._by_tenant[tenant_id]:
            del self._by_tenant[tenant_id]

    def _add(self, count: int, tenant_id: str) -> None:
        self.count += count
        self._by_tenant[tenant_id] += count


class Room:
    """The memory that is counted for one request, from its first byte to `release`.

    Parameters
    ----------
    held : HeldBytes
        Counts what has arrived.
    decoded : ByteBudget
        Counts what is made of it.
    tenant_id : str
        Whose request it is.

    Attributes
    ----------
    tenant_id : str
        As above.
    """

    def __init__(self, held: HeldBytes, decoded: ByteBudget, *, tenant_id: str) -> None:
        self._held = held
        self._decoded = decoded
        self.tenant_id = tenant_id
        self._bytes = 0
        self._decoded_bytes = 0

    def hold(self, count: int) -> None:
        """Count bytes that have arrived.

        Raises
        ------
        RequestError
            As `HeldBytes.hold`.
        """
        self._held.hold(count, tenant_id=self.tenant_id)
        self._bytes += count

    async def hold_decoded(self, count: int) -> None:
        """Count what the request takes when it is decoded; wait until there is as much.

        It takes the place of what was counted before.

        Raises
        ------
        RequestError
            There never is.
        UnavailableError
            There was not for `DECODING_S`.
        """
        if count > self._decoded.most:
            raise RequestError(
                f"The request is too large: decoded it takes up to {count:,} bytes of memory, and "
                f"{self._decoded.most:,} at most are taken here (AXON_BODY_MEMORY_BYTES). Shorten "
                "the input. Texts with other characters than ASCII take twice as much.",
                code="request_too_large",
                status=413,
            )
        if self._decoded_bytes:
            # Never two parts of a request: what holds one would wait for what waits for another.
            self._decoded.give_back(self._decoded_bytes)
            self._decoded_bytes = 0
        self._decoded_bytes = await self._decoded.take(count, within_s=DECODING_S)

    def release(self) -> None:
        """Count nothing any more: the request is accepted or refused, and nothing refers to it."""
        if self._bytes:
            self._held.release(self._bytes, tenant_id=self.tenant_id)
        if self._decoded_bytes:
            self._decoded.give_back(self._decoded_bytes)
        self._bytes = self._decoded_bytes = 0
