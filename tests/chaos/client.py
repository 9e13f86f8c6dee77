"""A client: the unmodified OpenAI SDK, and the few lines with which it never loses an answer."""

import asyncio
import json
import time
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any

from httpx2 import HTTPError
from openai import AsyncOpenAI, OpenAIError
from openai.resources.responses.responses import AsyncResponsesConnection
from websockets.exceptions import WebSocketException

from tests.chaos.answers import Answer, Observations
from tests.chaos.conversations import ClientConversation
from tests.chaos.history import History, Op
from tests.chaos.http_connection import HttpConnection
from tests.chaos.plans import Behaviour, Plan, plan

Connection = AsyncResponsesConnection | HttpConnection
BROKEN = (OpenAIError, HTTPError, WebSocketException, OSError, TimeoutError)
LONGEST_PAUSE_S = 1.0
SENT_AHEAD = 0.2
"""Share of the questions that are sent while the answer before them still comes."""
LOCKED_S = 20.0
"""Time for asking again in a conversation that is locked: longer than an answer continues
whose client has left, unless a failover gives it more time."""
REREAD_S = 5.0
"""Time for reading an answer again; that it does not come in this time proves nothing."""


class AskAgainError(Exception):
    """The answer must be asked for again."""


class Client:
    """Asks one question after the other on one connection, on another one whenever that breaks.

    Parameters
    ----------
    silent_s : float
        Seconds from its submission after which an answer that has not ended counts as silent.
    retry_unknown_s : float
        Seconds for which a response that the cloud does not know is requested again, because
        Valkey may have lost its data; 0 makes an unknown response a fault at once.
    history : History
        Gets each operation and each frame.
    observations : Observations
        Shows the answers as the history has them.
    over_http : bool
        Ask over HTTP; else over a WebSocket.
    in_conversations : bool
        Ask in named conversations, each question in turn; else continue single answers.
    """

    def __init__(
        self,
        *,
        name: str,
        openai: AsyncOpenAI,
        random: Random,
        silent_s: float,
        retry_unknown_s: float,
        history: History,
        observations: Observations,
        over_http: bool = False,
        in_conversations: bool = False,
    ) -> None:
        self._name = name
        self._conversation = (
            ClientConversation(name=name, openai=openai, within_s=silent_s)
            if in_conversations
            else None
        )
        self._over_http = over_http
        self._openai = openai
        self._random = random
        self._silent_s = silent_s
        self._retry_unknown_s = retry_unknown_s
        self._unknown_since: float | None = None
        self._history = history
        self._observations = observations
        self._connection: Connection | None = None
        self._connections = 0
        self._acted = False
        self._limit: asyncio.Timeout | None = None
        self._ahead: tuple[str, int] | None = None
        """The answer that was asked for ahead, and the number of the connection."""

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until `stop` is set; the last answer is read to its end."""
        previous, drawn = None, plan(self._random)
        for number in count():
            # A question that was sent ahead is answered for somebody.
            if stop.is_set() and self._ahead is None:
                break
            following, ahead = plan(self._random), None
            if self._sends_ahead(following) and not stop.is_set():
                ahead = (f"{self._name}-{number + 1}", following)
            conversation = await self._conversation.next() if self._conversation else ""
            answer = await self.ask(
                f"{self._name}-{number}",
                drawn,
                previous if drawn.continues and not conversation else None,
                conversation=conversation,
                ahead=ahead,
            )
            if answer.continuable:
                previous = answer
            if self._conversation:
                self._conversation.note(answer)
            drawn = following
        await self.close()

    def _sends_ahead(self, following: Plan) -> bool:
        """Return whether to send the next question before the end of this one's answer.

        Both are in one lane, so that an event of the second answer before the end of the first is a
        fault. Relays of an earlier version know no lanes, and HTTP has none.
        """
        drawn = self._random.random() < SENT_AHEAD and not self._over_http
        return drawn and not following.continues and not self._observations.run.get("earlier")

    async def ask(
        self,
        name: str,
        drawn: Plan,
        previous: Answer | None = None,
        *,
        conversation: str = "",
        doomed: bool = False,
        ahead: tuple[str, Plan] | None = None,
    ) -> Answer:
        """Read an answer to its end, whatever happens meanwhile, and return it."""
        self._acted = False
        self._history.add(
            Op.ASK,
            answer=name,
            prompt=drawn.prompt,
            expected=drawn.expected,
            behaviour=drawn.behaviour,
            previous=previous and previous.name,
            conversation=conversation,
            limit=drawn.limit,
            ends_within_s=self._silent_s,
            doomed=doomed,
        )
        answer = self._observations.answers[name]
        try:
            async with asyncio.timeout(self._silent_s) as limit:
                self._limit = limit
                await self._ask_until_ended(answer, drawn, ahead)
        except TimeoutError:
            self._add(Op.GIVE_UP, answer)
        if answer.final is None or answer.irregular:
            await self.close()
        elif drawn.rereads_after is not None and self._ahead is None:
            await self._reread(answer, min(drawn.rereads_after, len(answer.events) - 2))
        return answer

    async def close(self) -> None:
        """Close the socket with a closing handshake."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*BROKEN):
                await connection.close()

    def _add(self, op: Op, answer: Answer, **data: Any) -> None:
        self._history.add(
            op, answer=answer.name, connection=f"{self._name}/{self._connections}", **data
        )

    async def _ask_until_ended(
        self, answer: Answer, drawn: Plan, ahead: tuple[str, Plan] | None
    ) -> None:
        pause_s = 0.05
        while not answer.ended:
            known = len(answer.events)
            try:
                await self._try(answer, drawn, ahead)
            except AskAgainError:
                # A second resume on one socket could follow events that the first has let come.
                # A second create cannot: where the first one was accepted, it changes nothing, or
                # brings all events of an answer that has ended, of which this client has none.
                if answer.response_id or self._random.random() < 0.5:
                    await self.close()
            except BROKEN as error:
                self._add(Op.BROKEN, answer, what=repr(error))
                await self.close()
            if not answer.ended:
                pause_s = 0.05 if len(answer.events) > known else min(2 * pause_s, LONGEST_PAUSE_S)
                await asyncio.sleep(self._random.uniform(0, pause_s))

    async def _try(self, answer: Answer, drawn: Plan, ahead: tuple[str, Plan] | None) -> None:
        connection = await self._connected()
        await self._request(connection, answer, drawn)
        while not answer.ended:
            await self._take(answer, await connection.recv_bytes())
            if ahead and answer.response_id and not answer.ended and self._ahead is None:
                # Its first event is here, so that its request was accepted before.
                self._add(Op.SEND_AHEAD, answer, next=ahead[0])
                await self._create(connection, ahead[0], ahead[1])
                self._ahead = (ahead[0], self._connections)
            if not answer.ended and len(answer.deltas) >= drawn.deltas:
                await self._behave(answer, drawn, connection)

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = await self._connect()
            self._connections += 1
        return self._connection

    async def _connect(self) -> Connection:
        if self._over_http:
            return HttpConnection(self._openai)
        options: Any = {"open_timeout": 10, "close_timeout": 1}
        return await self._openai.responses.connect(websocket_connection_options=options).enter()

    async def _request(self, connection: Connection, answer: Answer, drawn: Plan) -> None:
        if not answer.response_id:
            if self._limit is not None and not answer.submits:
                self._limit.reschedule(asyncio.get_running_loop().time() + self._silent_s)
            self._add(Op.SUBMIT, answer)
            ahead, self._ahead = self._ahead, None
            if ahead != (answer.name, self._connections):
                await self._create(connection, answer.name, drawn, answer)
            return
        await self._resume(connection, answer, len(answer.events) - 1)
        if self._acted and drawn.behaviour is Behaviour.CANCEL:
            await self._cancel(connection, answer)

    async def _create(
        self,
        connection: Connection,
        name: str,
        drawn: Plan,
        answer: Answer | None = None,
    ) -> None:
        """Ask a question: one that is sent ahead continues nothing."""
        previous, conversation = (answer.previous, answer.conversation) if answer else (None, "")
        await self._send(
            connection,
            type="response.create",
            model="echo",
            input=drawn.prompt,
            idempotency_key=name,
            **({"previous_response_id": previous.response_id} if previous else {}),
            **({"conversation": conversation} if conversation else {}),
            **({"max_output_tokens": drawn.limit} if drawn.limit else {}),
        )

    async def _resume(
        self, connection: Connection, answer: Answer, after: int, op: Op = Op.RESUME
    ) -> None:
        self._add(op, answer, after=after)
        await self._send(
            connection, type="response.resume", response_id=answer.response_id, starting_after=after
        )

    async def _take(self, answer: Answer, data: bytes) -> None:
        """Note a frame; raise AskAgainError if it is an error that asks for that."""
        event = json.loads(data)
        if _answers_cancel(event):
            # Perhaps after the next question was sent: it says nothing about that one.
            self._add(Op.CANCEL_ANSWER, answer, data=data.decode())
            return
        if not event.get("type", "").startswith("response."):
            self._add(Op.ERROR, answer, data=data.decode())
            self._error(answer, event)
            return
        strays = len(answer.strays)
        self._add(Op.EVENT, answer, data=data.decode())
        self._unknown_since = None
        if len(answer.strays) > strays:
            # Of a response that was begun twice; it ends when nobody reads it.
            await self.close()
            raise AskAgainError("another response")

    def _error(self, answer: Answer, event: dict[str, Any]) -> None:
        what = f"{event.get('code')}: {event.get('message')}"
        # API Gateway's own frames, when a function died, have no type and no status.
        status = event.get("status", 500)
        # Its own earlier resumption may move it, from a connection that broke before that ran.
        moved = event.get("code") == "response_moved"
        if status >= 500 or status == 429 or moved or answer.final is not None:
            raise AskAgainError(what)
        self._refused(answer, what)

    def _refused(self, answer: Answer, what: str) -> None:
        """Raise AskAgainError for some time; then the answer is forgotten."""
        now = time.monotonic()
        self._unknown_since = since = self._unknown_since or now
        locked = what.startswith("conversation_locked")
        within_s = LOCKED_S if locked else self._retry_unknown_s
        if now - since < within_s and not what.startswith("response_lost"):
            raise AskAgainError(what)
        self._unknown_since = None
        self._add(Op.FORGOTTEN, answer, what=what)

    async def _behave(self, answer: Answer, drawn: Plan, connection: Connection) -> None:
        if self._acted or not answer.response_id:
            return
        self._acted = True
        match drawn.behaviour:
            case Behaviour.CANCEL:
                await self._cancel(connection, answer)
            case Behaviour.DROP:
                self._add(Op.DROP, answer, abrupt=drawn.abrupt)
                await self._drop(abrupt=drawn.abrupt)
                await asyncio.sleep(drawn.away_s)
                raise AskAgainError("comes back")
            case Behaviour.LEAVE:
                self._add(Op.LEAVE, answer, abrupt=drawn.abrupt)
                await self._drop(abrupt=drawn.abrupt)

    async def _cancel(self, connection: Connection, answer: Answer) -> None:
        self._add(Op.CANCEL, answer)
        await self._send(connection, type="response.cancel", response_id=answer.response_id)

    async def _reread(self, answer: Answer, after: int) -> None:
        """Read an answer again from its middle: the same events must come."""
        end = answer.events[-1].data
        try:
            async with asyncio.timeout(REREAD_S):
                connection = await self._connected()
                await self._resume(connection, answer, after, Op.REREAD)
                data = ""
                while data != end and not answer.irregular:
                    frame = await connection.recv_bytes()
                    data = frame.decode()
                    await self._take(answer, frame)
        except (AskAgainError, *BROKEN) as error:
            self._add(Op.REREAD_END, answer, what=repr(error))
            await self.close()

    async def _drop(self, *, abrupt: bool) -> None:
        # A stream over HTTP that is left is never closed by a handshake.
        if abrupt and isinstance(self._connection, AsyncResponsesConnection):
            self._connection._connection.transport.abort()
        await self.close()

    async def _send(self, connection: Connection, **event: Any) -> None:
        await connection.send(event)  # type: ignore[arg-type]


def _answers_cancel(event: dict[str, Any]) -> bool:
    """Return whether a frame answers a cancellation of what has ended or is delivered elsewhere."""
    return (
        event.get("type") == "response.cancelled"
        or event.get("code") == "response_cancel_not_active"
    )
