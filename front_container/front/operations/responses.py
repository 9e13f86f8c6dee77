"""Operations of the Responses API."""

from axon.protocol.compaction import CompactRequest
from axon.protocol.requests import MAX_NUMBER, CreateResponse
from axon.protocol.tools import OPENAI_TOOLS
from axon.protocol.unserved import HARMLESS, HINTS, UNSERVED
from front.operations.answers.events import RESPONSE_EVENTS
from front.operations.answers.responses import (
    CompactedResponse,
    CountedTokens,
    DeletedResponse,
    InputItemPage,
    Response,
)
from front.operations.operation import EVENTS, JSON, Answer, Events, Operation, RequestBody
from front.operations.parameters import (
    IDEMPOTENCY_KEY,
    Choice,
    Flag,
    Include,
    Integer,
    PathParameter,
    Text,
)

TAG = "Responses"
RESPONSE_ID = PathParameter("response_id", "The response's id.")
INCLUDE = Include(
    "include",
    "Agents always ask for it; a model that gives none has nothing to include.",
    ("reasoning.encrypted_content",),
)
STREAM = Flag("stream", "Answer with the events as they come.")
STARTING_AFTER = Integer(
    "starting_after",
    "With `stream`: the number of the last event that the client has.",
    default=-1,
    least=-1,
    most=MAX_NUMBER,
)
LIMIT = Integer("limit", "Most items of the page.", default=20, least=1, most=100)
ORDER = Choice("order", "Whether the last item comes first.", ("desc", "asc"))
AFTER = Text("after", "Id of the last item of the page before.")

_EVENTS = Events(RESPONSE_EVENTS)
_STREAMED = (
    "An event's name is its `type`. Numbers have no gap: the last one that a client has is all "
    "that it needs to go on, by `GET /v1/responses/{response_id}?stream=true&starting_after=N`. "
    "A comment comes after each 15 s without an event."
)

CREATE = Operation(
    id="createResponse",
    tag=TAG,
    summary="Answer an input",
    description="The response when it has ended, with status 200 also if it has failed; with "
    f"`stream` its events as they come. {_STREAMED}",
    parameters=(IDEMPOTENCY_KEY,),
    body=RequestBody(
        model=CreateResponse,
        hidden=("type", "stream_id", "generate", "cancel_on_disconnect"),
        added={"stream": {"type": ["boolean", "null"], "description": "Answer with events."}},
        longest={"tools": OPENAI_TOOLS},
        ignored=HINTS - {"stream"},
        refused=UNSERVED,
        harmless=HARMLESS,
    ),
    answers={200: Answer("The response, or its events.", {JSON: Response, EVENTS: _EVENTS})},
    refusals=(404, 409),
)
INPUT_TOKENS = Operation(
    id="countInputTokens",
    tag=TAG,
    summary="Count the tokens of an input",
    description="A worker counts them as for an answer, so they are its `usage.input_tokens`.",
    body=CREATE.body,
    answers={200: Answer("The tokens.", {JSON: CountedTokens})},
    refusals=(404,),
)
COMPACT = Operation(
    id="compactResponse",
    tag=TAG,
    summary="Summarize a conversation",
    description="The model makes a summary. The answer's `output`, the user's messages and the "
    "summary, is the input of the next request in place of the conversation.",
    body=RequestBody(
        model=CompactRequest,
        ignored=("prompt_cache_options", "prompt_cache_retention"),
    ),
    answers={200: Answer("The compacted conversation.", {JSON: CompactedResponse})},
    refusals=(404, 502),
)
RETRIEVE = Operation(
    id="getResponse",
    tag=TAG,
    summary="Retrieve or follow a response",
    description="The response as it is now; while it runs, `output` is empty. With `stream` its "
    "events, while it runs and for 5 minutes after its end, for any number of readers. "
    f"{_STREAMED}",
    parameters=(RESPONSE_ID, STREAM, STARTING_AFTER, INCLUDE),
    answers={200: Answer("The response, or its events.", {JSON: Response, EVENTS: _EVENTS})},
    refusals=(400, 404, 410),
)
CANCEL = Operation(
    id="cancelResponse",
    tag=TAG,
    summary="Cancel a response",
    parameters=(RESPONSE_ID,),
    answers={200: Answer("The cancelled response.", {JSON: Response})},
    refusals=(400, 404),
)
DELETE = Operation(
    id="deleteResponse",
    tag=TAG,
    summary="Delete a response, wherever it is kept",
    parameters=(RESPONSE_ID,),
    answers={200: Answer("It is deleted.", {JSON: DeletedResponse})},
    refusals=(400, 404),
)
INPUT_ITEMS = Operation(
    id="listInputItems",
    tag=TAG,
    summary="List the items that a response's request brought",
    description="Not those of earlier turns.",
    parameters=(RESPONSE_ID, LIMIT, ORDER, AFTER, INCLUDE),
    answers={200: Answer("A page of items.", {JSON: InputItemPage})},
    refusals=(400, 404),
)
