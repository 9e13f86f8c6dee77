"""Operations of Chat Completions and the older Completions."""

from typing import Any

from axon.protocol.chat import unserved as chat_unserved
from axon.protocol.chat.request import ChatRequest
from axon.protocol.completions import request as text_request
from front.operations.answers.chat import ChatCompletion, ChatCompletionChunk, TextCompletion
from front.operations.answers.errors import OpenAIError
from front.operations.operation import EVENTS, JSON, Answer, Events, Operation, RequestBody
from front.operations.parameters import IDEMPOTENCY_KEY

_STREAMED = (
    "Its data is a chunk; the last one is `[DONE]`. An error after the beginning is an event with "
    "the error's body, and no `[DONE]` follows. A comment comes after each 15 s without an event."
)
_REFUSALS = (404, 409, 502)


def _events(chunk: Any) -> Events:
    return Events({"chunk": chunk, "error": OpenAIError}, named=False, last="[DONE]")


CHAT = Operation(
    id="createChatCompletion",
    tag="Chat Completions",
    summary="Answer a conversation",
    description="A view of a response: the completion when it has ended, or its chunks as they "
    "come. A client that leaves ends it, unless it has sent an idempotency key.",
    parameters=(IDEMPOTENCY_KEY,),
    body=RequestBody(
        model=ChatRequest,
        ignored=chat_unserved.HINTS,
        refused=chat_unserved.UNSERVED,
        harmless=chat_unserved.HARMLESS,
    ),
    answers={
        200: Answer(
            f"The completion. With `stream`, events without names. {_STREAMED}",
            {JSON: ChatCompletion, EVENTS: _events(ChatCompletionChunk)},
        )
    },
    refusals=_REFUSALS,
)
TEXT = Operation(
    id="createCompletion",
    tag="Completions",
    summary="Answer a prompt, for old tools",
    description="The prompt is a message of the user: what follows is an answer to it, not its "
    "continuation in the same sentence.",
    parameters=(IDEMPOTENCY_KEY,),
    body=RequestBody(
        model=text_request.TextRequest,
        ignored=text_request.HINTS,
        refused=text_request.UNSERVED,
        harmless=text_request.HARMLESS,
    ),
    answers={
        200: Answer(
            f"The completion. With `stream`, events without names. {_STREAMED}",
            {JSON: TextCompletion, EVENTS: _events(TextCompletion)},
        )
    },
    refusals=_REFUSALS,
)
