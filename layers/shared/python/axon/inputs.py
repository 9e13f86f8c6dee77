"""Inputs of requests: those that are too large for messages and for Valkey wait in a payload store.

Only the input is kept there. All else of a job is repeated by events, and has its own limits.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field, field_serializer

from axon.byte_budget import ByteBudget
from axon.exceptions import UnavailableError
from axon.formats import FormattedModel
from axon.payloads import PayloadReference, PayloadStore, payload_key
from axon.serialization import loads

INLINE_BYTES = 64 * 1024
"""Longest job that carries its input itself. Valkey keeps a job until its response ends."""
WITH_PAYLOAD = 2
"""Version of the format of a job, record or turn whose input is a payload. The version before would
take the input for empty."""
HELD_BYTES = 64 * 2**20
"""Bytes of inputs that a process encodes, or has read and decoded, at a time."""
OBJECT_BYTES = 500
"""Estimated memory of an object of JSON beside its text: a dictionary, its values, its model."""
WAIT_S = 10.0
"""Seconds that a request waits until fewer inputs are held."""
DISCARD_S = 2.0
"""Time limit in seconds for deleting a payload whose request was refused: it expires anyway."""


CALLS = ("function_call", "custom_tool_call")
OUTPUTS = ("function_call_output", "custom_tool_call_output")
"""Types of items that ask for an output, and of outputs."""


class InputPayload(PayloadReference):
    """The place of an input, with what a reader must know without reading it.

    Parameters
    ----------
    items : int
        Number of its items.
    call_ids : tuple[str, ...]
        Its function calls, which later outputs may answer.
    decoded_size : int
        Estimated bytes of memory that it takes when it is decoded.
    """

    items: int
    call_ids: tuple[str, ...] = ()
    decoded_size: int


def _is_none(value: object) -> bool:
    return value is None


PAYLOAD_FIELD = Field(default=None, exclude_if=_is_none)
"""Default of `input_payload`: what has none is written as the version before writes it."""


class InputHolder(FormattedModel):
    """A job, record or turn: its `input` may be a payload, and then is not written with it."""

    if TYPE_CHECKING:
        input: list[dict[str, Any]]
        input_payload: InputPayload | None

    @field_serializer("input", check_fields=False)
    def _unless_payload(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [] if self.input_payload else items


H = TypeVar("H", bound=InputHolder)


def input_key(tenant_id: str, response_id: str, *, stored: bool) -> str:
    """Return the key of a response's input."""
    return payload_key("input", tenant_id=tenant_id, response_id=response_id, stored=stored)


def calls_in(items: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """Return the ids of the calls among items."""
    calls = (item.get("call_id") for item in items if item.get("type") in CALLS)
    return tuple(call for call in calls if isinstance(call, str))


class LargeInputs:
    """Puts large inputs into the payload store, and reads them from there.

    Parameters
    ----------
    store : PayloadStore | None
        The store; None where the deployment has none, and every job carries its input.
    """

    def __init__(self, *, store: PayloadStore | None) -> None:
        self._store = store
        self._budget = ByteBudget(most=HELD_BYTES)

    @property
    def available(self) -> bool:
        """True if the deployment has a store."""
        return self._store is not None

    async def put(self, holder: H, content: bytes, *, key: str) -> H:
        """Put the holder's input into the store; return the holder with its payload alone.

        Parameters
        ----------
        holder : H
            A holder with its input.
        content : bytes
            The input, as JSON.
        key : str
            The payload's key: `input_key`.

        Raises
        ------
        UnavailableError
            The store is away, refuses, or does not exist; or too many inputs are on their way.
        """
        if self._store is None:
            raise UnavailableError("this deployment has no store for large requests")
        async with self._budget.hold(len(content), within_s=WAIT_S):
            # In a thread, which does it without the interpreter's lock: 10 to 60 ms for 20 MB.
            reference = await asyncio.to_thread(PayloadReference.of, content, key=key)
            await self._store.put(reference, content)
        payload = InputPayload(
            **reference.model_dump(),
            items=len(holder.input),
            call_ids=calls_in(holder.input),
            decoded_size=len(content) + OBJECT_BYTES * content.count(b"{"),
        )
        return holder.model_copy(
            update={"format": WITH_PAYLOAD, "input": [], "input_payload": payload}
        )

    @asynccontextmanager
    async def room(
        self, *holders: InputHolder, within_s: float | None = WAIT_S
    ) -> AsyncIterator[None]:
        """Hold room for the decoded inputs of these while the context is entered.

        Raises
        ------
        UnavailableError
            Too many inputs were held for all of the time.
        """
        payloads = [holder.input_payload for holder in holders if holder.input_payload]
        if not payloads:
            yield
            return
        size = sum(payload.decoded_size for payload in payloads)
        async with self._budget.hold(size, within_s=within_s):
            yield

    async def loaded(self, holder: H) -> H:
        """Return the holder with its input, wherever that is; `room` bounds how many are held.

        Raises
        ------
        LostPayloadError
            The store does not have it any more.
        UnavailableError
            The store is away, or refuses.
        """
        if holder.input_payload is None:
            return holder
        return holder.model_copy(update={"input": loads(await self.content(holder.input_payload))})

    async def content(self, payload: InputPayload) -> bytes:
        """Return an input as JSON.

        Raises
        ------
        LostPayloadError, UnavailableError
            As `loaded`.
        """
        if self._store is None:
            raise UnavailableError("this deployment has no store for large requests")
        return await self._store.get(payload)

    async def delete(self, *, tenant_id: str, response_id: str) -> None:
        """Delete the input of a response, if it was large.

        Raises
        ------
        UnavailableError
            The store is away, or refuses.
        """
        if self._store is None:
            return
        for stored in (True, False):
            await self._store.delete(input_key(tenant_id, response_id, stored=stored))

    async def discard(self, holder: InputHolder) -> None:
        """Delete a payload that nobody needs any more; if that fails, it expires."""
        if self._store is None or holder.input_payload is None:
            return
        with suppress(UnavailableError, TimeoutError):
            async with asyncio.timeout(DISCARD_S):
                await self._store.delete(holder.input_payload.key)


NO_PAYLOADS = LargeInputs(store=None)
"""For processes and deployments without a store."""
