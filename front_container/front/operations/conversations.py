"""Operations of the Conversations API."""

from axon.protocol.conversations import CreateConversation, CreateItems, UpdateConversation
from front.operations.answers.conversations import Conversation, DeletedConversation
from front.operations.answers.responses import InputItem, InputItemPage
from front.operations.operation import JSON, Answer, Operation, RequestBody
from front.operations.parameters import IDEMPOTENCY_KEY, PathParameter
from front.operations.responses import AFTER, INCLUDE, LIMIT, ORDER

TAG = "Conversations"
CONVERSATION_ID = PathParameter("conversation_id", "The conversation's id.")
ITEM_ID = PathParameter("item_id", "The item's id.")

_CONVERSATION = {200: Answer("The conversation.", {JSON: Conversation})}
_ITEMS = {200: Answer("A page of items.", {JSON: InputItemPage})}

CREATE = Operation(
    id="createConversation",
    tag=TAG,
    summary="Create a conversation",
    description="Perhaps with its first items. Requests continue it by its id: `conversation`.",
    parameters=(IDEMPOTENCY_KEY,),
    body=RequestBody(model=CreateConversation),
    answers=_CONVERSATION,
)
RETRIEVE = Operation(
    id="getConversation",
    tag=TAG,
    summary="Retrieve a conversation",
    parameters=(CONVERSATION_ID,),
    answers=_CONVERSATION,
    refusals=(404,),
)
UPDATE = Operation(
    id="updateConversation",
    tag=TAG,
    summary="Replace a conversation's metadata",
    parameters=(CONVERSATION_ID,),
    body=RequestBody(model=UpdateConversation),
    answers=_CONVERSATION,
    refusals=(404,),
)
DELETE = Operation(
    id="deleteConversation",
    tag=TAG,
    summary="Delete a conversation, and none of its responses",
    parameters=(CONVERSATION_ID,),
    answers={200: Answer("It is deleted.", {JSON: DeletedConversation})},
    refusals=(404,),
)
ADD_ITEMS = Operation(
    id="createConversationItems",
    tag=TAG,
    summary="Add items at a conversation's end",
    description="Not while a response of it is running (409, `conversation_locked`).",
    parameters=(CONVERSATION_ID, INCLUDE, IDEMPOTENCY_KEY),
    body=RequestBody(model=CreateItems),
    answers=_ITEMS,
    refusals=(404, 409),
)
LIST_ITEMS = Operation(
    id="listConversationItems",
    tag=TAG,
    summary="List a conversation's items",
    parameters=(CONVERSATION_ID, LIMIT, ORDER, AFTER, INCLUDE),
    answers=_ITEMS,
    refusals=(400, 404),
)
RETRIEVE_ITEM = Operation(
    id="getConversationItem",
    tag=TAG,
    summary="Retrieve an item of a conversation",
    parameters=(CONVERSATION_ID, ITEM_ID, INCLUDE),
    answers={200: Answer("The item.", {JSON: InputItem})},
    refusals=(400, 404),
)
REMOVE_ITEM = Operation(
    id="deleteConversationItem",
    tag=TAG,
    summary="Remove an item from a conversation",
    description="Also from the response that it belongs to.",
    parameters=(CONVERSATION_ID, ITEM_ID),
    answers=_CONVERSATION,
    refusals=(404,),
)
