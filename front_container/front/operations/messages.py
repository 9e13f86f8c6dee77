"""Operations of Anthropic's Messages API."""

from axon.protocol.anthropic.request import CountTokens, CreateMessage
from axon.protocol.anthropic.unserved import HARMLESS, HINTS, UNSERVED
from front.operations.answers.messages import MESSAGE_EVENTS, AnthropicMessage, MessageTokens
from front.operations.operation import EVENTS, JSON, Answer, Events, Operation, RequestBody
from front.operations.parameters import ANTHROPIC_VERSION, IDEMPOTENCY_KEY

TAG = "Messages"

CREATE = Operation(
    id="createMessage",
    tag=TAG,
    summary="Answer a conversation",
    description="A view of a response: the message when it has ended, or its events as they come. "
    "A client that leaves ends it, unless it has sent an idempotency key.",
    parameters=(ANTHROPIC_VERSION, IDEMPOTENCY_KEY),
    body=RequestBody(
        model=CreateMessage,
        ignored=HINTS,
        refused=UNSERVED,
        harmless=HARMLESS,
        closed=True,
    ),
    answers={
        200: Answer(
            "The message. With `stream`, its events, which have their `type` as their name.",
            {JSON: AnthropicMessage, EVENTS: Events(MESSAGE_EVENTS)},
        )
    },
    refusals=(404, 409, 502),
)
COUNT_TOKENS = Operation(
    id="countMessageTokens",
    tag=TAG,
    summary="Count the tokens of a conversation",
    description="A worker counts them as for an answer, so they are that answer's `input_tokens` "
    "and `cache_read_input_tokens` together.",
    parameters=(ANTHROPIC_VERSION,),
    body=RequestBody(
        model=CountTokens,
        ignored=HINTS,
        refused=UNSERVED,
        harmless=HARMLESS,
        closed=True,
    ),
    answers={200: Answer("The tokens.", {JSON: MessageTokens})},
    refusals=(404,),
)
