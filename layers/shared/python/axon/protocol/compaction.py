"""``POST /v1/responses/compact``: its request, and the items that take a conversation's place."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from axon.exceptions import RequestError
from axon.ids import new_id
from axon.protocol.bodies import Body
from axon.protocol.item_pages import shown_items
from axon.protocol.items import (
    MAX_ITEMS,
    SUMMARY,
    Compaction,
    Item,
    Message,
    content_of_summary,
    null_is,
)
from axon.protocol.kept_items import kept
from axon.protocol.objects import Json
from axon.protocol.refusals import too_many_items
from axon.protocol.requests import (
    MAX_INPUT_CHARACTERS,
    AskedTier,
    ClientLabel,
    CreateResponse,
    Input,
    ModelName,
)
from axon.protocol.unserved import HINTS

ASK = (
    "Summarize this conversation for an assistant that will go on with it and has nothing else of "
    "it but the user's messages: what is asked for, what was found out, decided and done, names "
    "and numbers that matter, and what is left to do. Answer with the summary alone."
)


class CompactRequest(Body):
    """``POST /v1/responses/compact``: a conversation, as input and by its last response."""

    HINTS: ClassVar = HINTS | {"parallel_tool_calls", "reasoning", "text", "tools"}
    """Codex sends the settings of its next request along; a summary needs none of them."""

    model: ModelName
    input: Annotated[Input, null_is([])] = Field(default_factory=list)
    instructions: Annotated[str, Field(max_length=MAX_INPUT_CHARACTERS)] | None = None
    previous_response_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    prompt_cache_key: ClientLabel | None = None
    service_tier: AskedTier | None = None

    @property
    def items(self) -> list[Json]:
        """The input's items, summaries among them left out."""
        if isinstance(self.input, str):
            return [{"type": "message", "role": "user", "content": self.input}]
        return [kept(item) for item in self.input if not isinstance(item, Compaction)]

    def to_ask(self) -> CreateResponse:
        """Return the request that asks the model for the summary.

        Raises
        ------
        RequestError
            Its input has no room for the question.
        """
        asked = Message(role="user", content=ASK)
        given: Sequence[Item] = (
            [Message(role="user", content=self.input)]
            if isinstance(self.input, str)
            else self.input
        )
        if len(given) >= MAX_ITEMS:
            raise too_many_items(len(given), MAX_ITEMS - 1, param="input")
        return CreateResponse(
            model=self.model,
            input=[*given, asked],
            instructions=self.instructions,
            previous_response_id=self.previous_response_id,
            prompt_cache_key=self.prompt_cache_key,
            service_tier=self.service_tier,
            store=False,
        )


def compacted(items: Sequence[Json], *, summary: str, answer: Json) -> Json:
    """Return a compacted conversation: the user's messages, then the summary.

    Parameters
    ----------
    items : Sequence[Json]
        All items of the conversation, oldest first.
    summary : str
        The summary.
    answer : Json
        The response that has made it.
    """
    users = [item for item in items if item.get("role") == "user" and not _is_summary(item)]
    compaction = {
        "id": new_id("cmp"),
        "type": "compaction",
        "encrypted_content": content_of_summary(summary),
    }
    return {
        "id": answer["id"],
        "object": "response.compaction",
        "created_at": answer["created_at"],
        "output": [*shown_items(users, response_id=answer["id"]), compaction],
        "usage": answer["usage"],
    }


def summary_in(answer: Json) -> str:
    """Return the summary that a response has made.

    Raises
    ------
    RequestError
        It is cut off or empty: a client that puts it in a conversation's place loses the rest.
    """
    if answer["status"] != "completed":
        reason = (answer.get("incomplete_details") or {}).get("reason") or answer["status"]
        # No 5xx, which SDKs would repeat: the next summary would be as long.
        raise RequestError(
            f"The summary was cut off ({reason}). Compact an earlier part of the conversation, or "
            "use a model with a longer output.",
            code="summary_incomplete",
        )
    summary = "".join(
        part["text"]
        for item in answer["output"]
        if item["type"] == "message"
        for part in item["content"]
        if part["type"] == "output_text"
    )
    if not summary.strip():
        raise RequestError(
            "The model has made no summary. Send the request again.",
            code="upstream_answer_unusable",
            status=502,
        )
    return summary


def _is_summary(item: Json) -> bool:
    """Return whether an item is the message of an earlier summary, which the new one includes."""
    return isinstance(item["content"], str) and item["content"].startswith(SUMMARY)
