"""Pages of a response's input items, in the shape of OpenAI's lists."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any

from axon.exceptions import RequestError
from axon.ids import new_id
from axon.protocol.kept_items import as_sent
from axon.protocol.objects import Json

_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
}
"""Beginnings of the ids of input items, by their types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPage:
    """Selects the items of one page.

    Parameters
    ----------
    limit : int
        Most items of a page.
    newest_first : bool
        True for the last item first, which is OpenAI's default.
    after : str | None
        Id of the last item of the page before; None for the first page.
    """

    limit: int
    newest_first: bool
    after: str | None

    def of(self, items: Sequence[Json]) -> Json:
        """Return the page of these items, the oldest first here.

        Raises
        ------
        RequestError
            None of them has the id `after`.
        """
        return self.of_ordered(reversed(items) if self.newest_first else items)

    def of_ordered(self, ordered: Iterable[Json]) -> Json:
        """Return the page of items in the page's order; no more are taken than it needs.

        Raises
        ------
        RequestError
            As `of`.
        """
        rest = iter(ordered)
        if self.after is not None:
            self._skip(rest, self.after)
        page = list(islice(rest, self.limit))
        return {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": next(rest, None) is not None,
        }

    @staticmethod
    def _skip(items: Iterator[Json], after: str) -> None:
        if any(item["id"] == after for item in items):
            return
        raise RequestError(
            f"There is no item with id '{after[:64]}'. Use the 'last_id' of a page.",
            code="invalid_value",
            param="after",
        )


def identified(items: Sequence[dict[str, Any]]) -> list[Json]:
    """Return items with new ids, in place of any that the client gave them.

    In a conversation an id stands for one item: it is listed after it, retrieved and removed by it.
    """
    return [
        item | {"id": new_id(_PREFIXES.get(as_sent(item).get("type") or "message", "item"))}
        for item in items
    ]


def shown_items(items: Sequence[dict[str, Any]], *, response_id: str) -> list[Json]:
    """Return a request's input items as the API shows them: each with an id, texts as parts.

    An item without an id gets one that follows from the response and its position, so that it is
    the same in every page.
    """
    return [_shown(as_sent(item), f"{response_id}/input/{n}") for n, item in enumerate(items)]


def _shown(item: dict[str, Any], name: str) -> Json:
    kind = item.get("type") or "message"
    prefix = _PREFIXES.get(kind, "item")
    own_id = item.get("id") or f"{prefix}_{sha256(name.encode()).hexdigest()[:32]}"
    shown = {"status": "completed"} | item | {"id": own_id, "type": kind}
    if isinstance(text := item.get("content"), str):
        shown["content"] = [_part(text, role=item.get("role"))]
    return shown


def _part(text: str, *, role: Any) -> Json:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": []}
    return {"type": "input_text", "text": text}
