"""Named conversations over HTTP: how a client gets one, and what it has in the end."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

from httpx2 import HTTPError
from openai import AsyncOpenAI, OpenAIError
from openai.types.conversations import ConversationItem, Message

from tests.chaos.answers import Answer
from tests.chaos.history import Op, Record

T = TypeVar("T")

TURNS = 6
"""Questions in one conversation; then the client begins another."""
PAUSE_S = 0.5


class ClientConversation:
    """The conversation in which a client asks; another one after `TURNS` questions.

    Parameters
    ----------
    name : str
        The client's name.
    openai : AsyncOpenAI
        The unmodified SDK.
    within_s : float
        Time limit in seconds for creating one, repetitions included.
    """

    def __init__(self, *, name: str, openai: AsyncOpenAI, within_s: float) -> None:
        self._name = name
        self._openai = openai
        self._within_s = within_s
        self._created = 0
        self._asked = 0
        self._id = ""

    async def next(self) -> str:
        """Return the id of the conversation for the next question.

        Raises
        ------
        TimeoutError
            None could be created in time.
        """
        if not self._id or self._asked == TURNS:
            self._created += 1
            self._asked = 0
            # The same key each time: a creation whose answer was lost must not be done again.
            headers = {"Idempotency-Key": f"{self._name}-conversation-{self._created}"}
            created = await _repeated(
                lambda: self._openai.conversations.create(extra_headers=headers),
                within_s=self._within_s,
            )
            self._id = created.id
        self._asked += 1
        return self._id

    def note(self, answer: Answer) -> None:
        """Begin another conversation if nobody knows whether this answer may still come."""
        # One whose client has left is not waited for either, but its end is: until then the
        # conversation is locked.
        if answer.final is None and not answer.left:
            self._id = ""


async def items_of(
    openai: AsyncOpenAI, conversation_ids: Iterable[str], *, within_s: float
) -> AsyncIterator[Record]:
    """Return the items of conversations as clients list them, as records of a history."""
    for conversation_id in conversation_ids:
        data: dict[str, object] = {"conversation_id": conversation_id}
        try:
            data["items"] = await _repeated(
                partial(_items, openai, conversation_id), within_s=within_s
            )
        except (TimeoutError, OpenAIError, HTTPError) as error:
            data["error"] = repr(error)
        yield Record(op=Op.ITEMS, at=time.time(), data=data)


async def _items(openai: AsyncOpenAI, conversation_id: str) -> list[tuple[str, str]]:
    listed = openai.conversations.items.list(conversation_id, order="asc", limit=100)
    return [_shown(item) async for item in listed]


def _shown(item: ConversationItem) -> tuple[str, str]:
    """Return who says an item, and its text."""
    if not isinstance(item, Message):
        return item.type, ""
    return item.role, "".join(getattr(part, "text", "") for part in item.content)


async def _repeated(call: Callable[[], Awaitable[T]], *, within_s: float) -> T:
    """Call until it succeeds.

    Raises
    ------
    TimeoutError
        It did not in time.
    """
    async with asyncio.timeout(within_s):
        while True:
            try:
                return await call()
            except (OpenAIError, HTTPError, OSError):
                await asyncio.sleep(PAUSE_S)
