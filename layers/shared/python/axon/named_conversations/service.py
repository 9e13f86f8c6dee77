"""NamedConversations: conversations that clients create, and where their next turn goes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol

from axon.conversations import Conversations, Turn, TurnHead, TurnIdentity
from axon.event_log.openings import Opening, OpenResult
from axon.exceptions import (
    ConversationPendingError,
    HistoryPendingError,
    RequestError,
    UnavailableError,
)
from axon.ids import is_id
from axon.named_conversations.store import ConversationStore, NamedConversation
from axon.protocol.objects import Json
from axon.retry import RetryPolicy
from axon.tasks import TaskSet

LOST_AFTER_S = 300.0
"""Seconds after which an accepted response that nobody knows is taken to have never begun. A worker
restores a log that Valkey has lost within seconds, and the history is seldom minutes behind."""
ASKING = RetryPolicy(within_s=60.0)
"""For asking whether a log was opened, after its opening has failed; a failover of Valkey takes
less than a minute."""


class Responses(Protocol):
    """Knows responses, running, ended or stored."""

    async def response(self, response_id: str, *, tenant_id: str) -> Json:
        """Return the response object as it is now.

        Raises
        ------
        RequestError
            The tenant has no such response.
        UnavailableError
            It is on its way to the database, or a service that keeps it is away.
        """
        ...

    async def identity(self, response_id: str, *, tenant_id: str) -> TurnIdentity:
        """Return where a response is in its conversation, or will be when it has ended.

        Raises
        ------
        RequestError
            The tenant has no such response, or it can never be continued.
        UnavailableError
            As `response`.
        """
        ...


class Place:
    """The end of a conversation, as it was read: its next response goes there.

    Parameters
    ----------
    store : ConversationStore
        The database.
    responses : Responses
        Know whether a response exists, and what it continues.
    tasks : TaskSet
        Holds the calls that continue when the request is given up.
    conversation : NamedConversation
        The conversation, as it was read.
    head : str | None
        Its last turn; None while it has none.
    """

    def __init__(
        self,
        *,
        store: ConversationStore,
        responses: Responses,
        tasks: TaskSet,
        conversation: NamedConversation,
        head: str | None,
    ) -> None:
        self.head = head
        self._store = store
        self._responses = responses
        self._tasks = tasks
        self._conversation = conversation

    @property
    def conversation(self) -> NamedConversation:
        """The conversation, as it was read."""
        return self._conversation

    @property
    def conversation_id(self) -> str:
        """Id of the conversation."""
        return self._conversation.conversation_id

    async def open(self, response_id: str, opening: Callable[[], Awaitable[Opening]]) -> Opening:
        """Open a response's log while the conversation is claimed for it.

        The claim comes first: a response that has a log has events, which its client may see. It
        stays if the log was opened, or may have been. If this process dies in between, the response
        is unknown, and the claim counts no more after `LOST_AFTER_S`.

        Raises
        ------
        RequestError
            Another request was faster.
        UnavailableError
            A service is away; the log may have been opened.
        """
        # A client that leaves must not keep the claim from following the result of the opening.
        return await self._tasks.complete(self._open(response_id, opening))

    async def _open(self, response_id: str, opening: Callable[[], Awaitable[Opening]]) -> Opening:
        if not await self._store.claim(self._conversation, head=self.head, response_id=response_id):
            raise locked()
        try:
            result = await opening()
        except Exception:
            # Valkey may have opened the log, and its answer was lost. Without the claim, the
            # response would run outside of its conversation.
            self._tasks.start(ASKING.run(lambda: self._release_unless_opened(response_id)))
            raise
        if result.outcome is OpenResult.REPEATED:
            await self._return_to(result.first_id, claimed_for=response_id)
        elif not result.opened:
            await self._release(response_id)
        return result

    async def _release_unless_opened(self, response_id: str) -> None:
        try:
            await self._responses.response(response_id, tenant_id=self._conversation.tenant_id)
        except RequestError:
            await self._release(response_id)

    async def _return_to(self, first_id: str, *, claimed_for: str) -> None:
        """Give the claim of a repeated request to its first response, if that comes next here.

        The first request's claim may have been taken back while its log was being opened.
        """
        try:
            first = await self._responses.identity(first_id, tenant_id=self._conversation.tenant_id)
        except RequestError:  # it has failed, or was deleted
            await self._release(claimed_for)
            return
        except UnavailableError:
            await self._release(claimed_for)
            raise  # the client's next call finds the first response again
        comes_next = (first.conversation_id, first.previous_response_id)
        if comes_next != (self.conversation_id, self.head):
            await self._release(claimed_for)
            return
        claimed = replace(self._conversation, head=self.head, running=claimed_for)
        await self._store.claim(claimed, head=self.head, response_id=first_id)

    async def _release(self, response_id: str) -> None:
        await self._store.release(self._conversation, response_id=response_id)
        # What an alias stands for is tried one model after the other.
        self._conversation = replace(self._conversation, head=self.head, running=None)


class NamedConversations:
    """Creates, finds, changes and deletes named conversations, and finds their last turn.

    The end of a response changes nothing here: whether the running one has ended, and how, is
    looked up in the log and the history by the next request that needs to know. So no process that
    ends responses needs to know of conversations, and none can forget to unlock one.

    Parameters
    ----------
    store : ConversationStore
        The database.
    conversations : Conversations
        The turns.
    responses : Responses
        Know how the running one has ended.
    """

    def __init__(
        self,
        *,
        store: ConversationStore,
        conversations: Conversations,
        responses: Responses,
    ) -> None:
        self._store = store
        self._conversations = conversations
        self._responses = responses
        self._opening = TaskSet(error="a conversation's claim stays, perhaps for no response")

    async def create(
        self, conversation_id: str, *, tenant_id: str, metadata: Mapping[str, str]
    ) -> NamedConversation:
        """Create a conversation without turns; return what there is if it was created before.

        Raises
        ------
        RequestError
            It was created and deleted before.
        """
        await self._store.create(conversation_id, tenant_id=tenant_id, metadata=metadata)
        created = await self._store.find(conversation_id, tenant_id=tenant_id)
        if created is None:
            raise used_before("has been deleted")
        return created

    async def find(self, conversation_id: str, *, tenant_id: str) -> NamedConversation:
        """Return the tenant's conversation.

        Raises
        ------
        RequestError
            The tenant has no such conversation.
        """
        # A client may send anything here, and not all of it is a text that the database takes.
        if is_id("conv", conversation_id):
            found = await self._store.find(conversation_id, tenant_id=tenant_id)
            if found is not None:
                return found
        raise unknown_conversation(conversation_id)

    async def label(
        self, conversation_id: str, *, tenant_id: str, metadata: Mapping[str, str]
    ) -> Json:
        """Replace the conversation's metadata; return the conversation as the API shows it.

        Raises
        ------
        RequestError
            The tenant has no such conversation.
        """
        if is_id("conv", conversation_id):
            found = await self._store.label(conversation_id, tenant_id=tenant_id, metadata=metadata)
            if found is not None:
                return found.shown()
        raise unknown_conversation(conversation_id)

    async def delete(self, conversation_id: str, *, tenant_id: str) -> Json:
        """Delete the conversation, and none of its responses; return OpenAI's answer to it.

        Raises
        ------
        RequestError
            The tenant has no such conversation.
        """
        known = is_id("conv", conversation_id)
        if not known or not await self._store.delete(conversation_id, tenant_id=tenant_id):
            raise unknown_conversation(conversation_id)
        return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}

    async def place(self, conversation_id: str, *, tenant_id: str) -> Place:
        """Return where the conversation's next response goes.

        Raises
        ------
        RequestError
            The tenant has no such conversation, or a response of it is running.
        UnavailableError
            A service that knows how its last response has ended is away.
        """
        found = await self.find(conversation_id, tenant_id=tenant_id)
        return Place(
            store=self._store,
            responses=self._responses,
            tasks=self._opening,
            conversation=found,
            head=await self.last_turn(found),
        )

    async def last_turn(self, found: NamedConversation) -> str | None:
        """Return the id of the last turn of a conversation in which no response is running.

        Raises
        ------
        RequestError, UnavailableError
            As `place`.
        """
        head, running = await self.settled(found)
        if running:
            raise locked()
        return head

    async def settled(self, found: NamedConversation) -> tuple[str | None, bool]:
        """Return the id of the last turn that has ended, and whether a response follows it now."""
        if found.running is None:
            return found.head, False
        try:
            response = await self._responses.response(found.running, tenant_id=found.tenant_id)
        except RequestError:
            lost = found.running_s >= LOST_AFTER_S or await self._store.is_deleted(found.running)
            return found.head, not lost
        if response["status"] in ("queued", "in_progress"):
            return found.head, True
        # What has failed has no answer, and what is not stored is nobody's to continue: the client
        # sends its items again.
        kept = response["status"] != "failed" and response["store"]
        return (found.running if kept else found.head), False

    async def heads(self, found: NamedConversation, head: str | None) -> list[TurnHead]:
        """Return the heads of a conversation's turns up to `head`, oldest first.

        Raises
        ------
        ConversationPendingError
            One of them is still on its way to the database.
        RequestError
            One of them never arrived there.
        """
        try:
            return await self._conversations.heads_before(
                head, tenant_id=found.tenant_id, connection_id=""
            )
        except (RequestError, HistoryPendingError) as error:
            raise _unreadable(found, error) from error

    async def turns(self, found: NamedConversation, head: str | None) -> list[Turn]:
        """Return a conversation's turns up to `head`, oldest first.

        Raises
        ------
        ConversationPendingError, RequestError
            As `heads`.
        """
        try:
            turns = await self._conversations.turns_before(
                head, tenant_id=found.tenant_id, connection_id=""
            )
            return await self._conversations.loaded(turns)
        except (RequestError, HistoryPendingError) as error:
            raise _unreadable(found, error) from error


def _unreadable(
    found: NamedConversation, error: RequestError | HistoryPendingError
) -> RequestError | ConversationPendingError:
    """Return the error of a conversation that exists, but of which a turn is not found.

    Without a note of a record that is on its way, none comes: the database has refused it for good.
    But Valkey may have lost the note a moment ago.
    """
    if isinstance(error, HistoryPendingError) or found.running_s < LOST_AFTER_S:
        return ConversationPendingError(found.conversation_id)
    return RequestError(
        f"A part of conversation '{found.conversation_id}' could not be stored, and is lost. "
        "Create a new conversation, with what you have of this one as its items.",
        code="conversation_incomplete",
        param="conversation",
    )


def unknown_conversation(conversation_id: str) -> RequestError:
    """Return the refusal of a request for a conversation that the tenant does not have."""
    return RequestError(
        f"Conversation with id '{conversation_id[:64]}' not found.",
        code="conversation_not_found",
        param="conversation",
        status=404,
    )


def used_before(state: str) -> RequestError:
    """Return the refusal of a repeated creation of a conversation; `state` says why."""
    return RequestError(
        f"This Idempotency-Key has created a conversation that {state}. Use another "
        "Idempotency-Key for a new one.",
        code="idempotency_key_reused",
        status=409,
    )


def locked() -> RequestError:
    """Return the refusal of a request that comes while another one has the conversation."""
    return RequestError(
        "Another process is currently operating on this conversation. Please retry in a few "
        "seconds.",
        code="conversation_locked",
        param="conversation",
        status=409,
    )
