"""ItemReferences: puts items of stored responses in place of a request's references to them."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from axon.exceptions import RequestError, UnavailableError
from axon.ids import is_id, same_id
from axon.protocol.objects import Json
from axon.protocol.sizes import json_bytes
from axon.protocol.unserved import objects_of
from axon.responses.retrieval import ResponseRetrieval

MAX_REFERENCES = 500
"""Most references of a request, as a conversation has turns: each costs a read."""
READS = 8
"""Responses that are read at the same time."""
READING_S = 30.0
"""Seconds for reading all responses of a request."""
REFERENCE = "item_reference"


def refers(body: Json) -> bool:
    """Return whether a decoded body has references to items."""
    return any(item.get("type") == REFERENCE for _, item in objects_of(body, "input"))


class ItemReferences:
    """Finds output items by their ids alone, as Vercel's AI SDK sends them back.

    An id leads to its response because a response's first item has the response's own unique part
    (`axon.ids.derived_id`). The others are found beside it, so a request has to refer to the first
    one, too: programs send all items of an answer back.

    Parameters
    ----------
    retrieval : ResponseRetrieval
        Reads the responses.
    max_bytes : int
        Most bytes of the items of a request.
    """

    def __init__(self, *, retrieval: ResponseRetrieval, max_bytes: int) -> None:
        self._retrieval = retrieval
        self._max_bytes = max_bytes

    async def resolved(self, body: Json, *, tenant_id: str) -> Json:
        """Return a decoded body, which is not validated yet, with items for its references.

        Raises
        ------
        RequestError
            The tenant has no such item, there are too many references, or the items are too large.
        UnavailableError
            A response is on its way to the database, or a service that keeps it is away.
        """
        wanted = {
            where: _id_of(item, where)
            for where, item in objects_of(body, "input")
            if item.get("type") == REFERENCE
        }
        if not wanted:
            return body
        if len(wanted) > MAX_REFERENCES:
            raise RequestError(
                f"'input' has {len(wanted):,} item references, {MAX_REFERENCES} at most. "
                "Continue the last response by `previous_response_id` instead.",
                code="array_above_max_length",
                param="input",
            )
        try:
            async with asyncio.timeout(READING_S):
                found = await self._items(Counter(wanted.values()), tenant_id=tenant_id)
        except TimeoutError as error:
            raise UnavailableError(f"not all items were read in {READING_S} s") from error
        _check(wanted, found)
        items = list(body["input"])
        for where, item_id in wanted.items():
            items[int(where.rpartition(".")[2])] = found[item_id]
        return body | {"input": items}

    async def _items(self, wanted: Counter[str], *, tenant_id: str) -> dict[str, Json]:
        """Return the output items, by their ids, of all responses that these ids lead to.

        `wanted` says how often each is referred to.
        """
        ids = sorted({same_id("resp", item_id) for item_id in wanted})
        ids = [response_id for response_id in ids if is_id("resp", response_id)]
        found: dict[str, Json] = {}
        size = 0
        for first in range(0, len(ids), READS):
            reads = (self._output(each, tenant_id=tenant_id) for each in ids[first : first + READS])
            for output in await asyncio.gather(*reads):  # `resolved` limits the time
                items = {item["id"]: item for item in output if item["id"] in wanted}
                size += sum(json_bytes(item) * wanted[item_id] for item_id, item in items.items())
                found |= items
            # Before more of them are read and kept; one long item may be referred to many times.
            self._check_size(size)
        return found

    async def _output(self, response_id: str, *, tenant_id: str) -> list[Json]:
        """Return a stored response's output items; none where the tenant has no such response."""
        try:
            response = await self._retrieval.response(response_id, tenant_id=tenant_id)
        except RequestError:
            return []
        output: list[Json] = response["output"] if response["store"] else []
        return output

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise RequestError(
                f"The request is too large: of the items that it refers to, some alone have "
                f"{size:,} bytes, and {self._max_bytes:,} at most are taken. Refer to fewer.",
                code="request_too_large",
                param="input",
                status=413,
            )


def _id_of(reference: Mapping[str, object], where: str) -> str:
    if isinstance(item_id := reference.get("id"), str):
        return item_id
    raise RequestError(
        f"Invalid '{where}.id': must be the id of an item.",
        code="invalid_value",
        param=f"{where}.id",
    )


def _check(wanted: Mapping[str, str], found: Mapping[str, Json]) -> None:
    for where, item_id in wanted.items():
        if item_id not in found:
            raise RequestError(
                f"Item with id '{item_id[:64]}' not found. Items are kept with stored responses; "
                "send it itself instead.",
                code="item_not_found",
                param=where,
                status=404,
            )
