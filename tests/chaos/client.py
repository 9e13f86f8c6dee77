"""A client: the unmodified OpenAI SDK, and the few lines with which it never loses an answer."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from openai import AsyncOpenAI, OpenAIError
from openai.resources.responses.responses import AsyncResponsesConnection
from websockets.exceptions import WebSocketException

from tests.chaos.answers import Answer, Fault, decode
from tests.chaos.plans import Behaviour, plan

BROKEN = (OpenAIError, WebSocketException, OSError, TimeoutError)
LONGEST_PAUSE_S = 1.0


class AskAgainError(Exception):
    """The answer must be asked for again."""


class Client:
    """Asks one question after the other on one socket, on another one whenever that breaks.

    Parameters
    ----------
    silent_s : float
        Seconds after which an answer that has not ended counts as silent.
    retry_unknown_s : float
        Seconds for which a response that the cloud does not know is requested again, because
        Valkey may have lost its data; 0 makes an unknown response a fault at once.
    noted : Callable[[Answer], None]
        Gets each answer when it is asked for.
    """

    def __init__(
        self,
        *,
        name: str,
        openai: AsyncOpenAI,
        random: Random,
        silent_s: float,
        retry_unknown_s: float,
        noted: Callable[[Answer], None],
    ) -> None:
        self._name = name
        self._openai = openai
        self._random = random
        self._silent_s = silent_s
        self._retry_unknown_s = retry_unknown_s
        self._unknown_since: float | None = None
        self._noted = noted
        self._connection: AsyncResponsesConnection | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until `stop` is set; the last answer is read to its end."""
        number, previous = 0, None
        while not stop.is_set():
            drawn = plan(self._random)
            answer = Answer(
                name=f"{self._name}-{number}",
                plan=drawn,
                previous=previous if drawn.continues else None,
            )
            self._noted(answer)
            await self.ask(answer)
            number += 1
            if answer.continuable:
                previous = answer
        await self.close()

    async def ask(self, answer: Answer) -> None:
        """Read an answer to its end, whatever happens meanwhile."""
        try:
            async with asyncio.timeout(self._silent_s):
                await self._ask_until_ended(answer)
        except TimeoutError:
            answer.blame(Fault.SILENT, f"no end within {self._silent_s:g} s")
        if answer.faults:
            await self.close()

    async def close(self) -> None:
        """Close the socket with a closing handshake."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*BROKEN):
                await connection.close()

    async def _ask_until_ended(self, answer: Answer) -> None:
        pause_s = 0.05
        while not answer.ended:
            known = len(answer.events)
            try:
                await self._try(answer)
            except AskAgainError as error:
                answer.note(str(error))
                # A second resume on one socket could follow events that the first has let come.
                # A second create cannot: it changes nothing where the first one was accepted.
                if answer.response_id or self._random.random() < 0.5:
                    await self.close()
            except BROKEN as error:
                answer.note(repr(error))
                await self.close()
            if not answer.ended:
                pause_s = 0.05 if len(answer.events) > known else min(2 * pause_s, LONGEST_PAUSE_S)
                await asyncio.sleep(self._random.uniform(0, pause_s))

    async def _try(self, answer: Answer) -> None:
        if self._connection is None:
            options: Any = {"open_timeout": 10, "close_timeout": 1}
            manager = self._openai.responses.connect(websocket_connection_options=options)
            self._connection = await manager.enter()
        await self._request(self._connection, answer)
        while not answer.ended:
            await self._take(answer, await self._connection.recv_bytes())
            if not answer.ended and len(answer.deltas) >= answer.plan.deltas:
                await self._behave(answer, self._connection)

    async def _request(self, connection: AsyncResponsesConnection, answer: Answer) -> None:
        if not answer.response_id:
            answer.note("response.create")
            await self._send(
                connection,
                type="response.create",
                model="echo",
                input=answer.plan.prompt,
                idempotency_key=answer.name,
                **(
                    {"previous_response_id": answer.previous.response_id} if answer.previous else {}
                ),
            )
            return
        last = len(answer.events) - 1
        answer.note(f"response.resume after {last}")
        await self._send(
            connection, type="response.resume", response_id=answer.response_id, starting_after=last
        )
        if answer.acted and answer.plan.behaviour is Behaviour.CANCEL:
            await self._cancel(connection, answer)

    async def _take(self, answer: Answer, data: bytes) -> None:
        event = decode(data)
        if event.get("type", "").startswith("response."):
            answer.receive(data, event)
            self._unknown_since = None
            return
        # API Gateway's own frames, when a function died, have no type.
        code, status = event.get("code"), event.get("status", 500)
        if status >= 500 or status == 429:
            raise AskAgainError(f"error {code}: {event.get('message')}")
        self._refused(answer, f"{code}: {event.get('message')}")

    def _refused(self, answer: Answer, what: str) -> None:
        """Raise AskAgainError for `retry_unknown_s` seconds; then the answer has ended."""
        now = time.monotonic()
        self._unknown_since = since = self._unknown_since or now
        if now - since < self._retry_unknown_s:
            raise AskAgainError(what)
        self._unknown_since = None
        if self._retry_unknown_s and what.startswith("response_not_found"):
            answer.refused = True
        else:
            answer.blame(Fault.LOST, f"refused: {what}")

    async def _behave(self, answer: Answer, connection: AsyncResponsesConnection) -> None:
        if answer.acted or not answer.response_id:
            return
        answer.acted = True
        match answer.plan.behaviour:
            case Behaviour.CANCEL:
                await self._cancel(connection, answer)
            case Behaviour.DROP:
                answer.note(f"drops its socket, abruptly: {answer.plan.abrupt}")
                await self._drop(abrupt=answer.plan.abrupt)
                await asyncio.sleep(answer.plan.away_s)
                raise AskAgainError("comes back")
            case Behaviour.LEAVE:
                answer.note("leaves")
                await self._drop(abrupt=answer.plan.abrupt)
                answer.left = True

    async def _cancel(self, connection: AsyncResponsesConnection, answer: Answer) -> None:
        answer.note("response.cancel")
        await self._send(connection, type="response.cancel", response_id=answer.response_id)

    async def _drop(self, *, abrupt: bool) -> None:
        if abrupt and self._connection is not None:
            self._connection._connection.transport.abort()
        await self.close()

    async def _send(self, connection: AsyncResponsesConnection, **event: Any) -> None:
        await connection.send(event)  # type: ignore[arg-type]
