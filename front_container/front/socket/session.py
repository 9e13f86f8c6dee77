"""SocketSession: one client's WebSocket from its handshake to its close."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import WSCloseCode

from axon.exceptions import RequestError, UnavailableError
from axon.protocol.errors import error_event, error_frame
from axon.protocol.requests import (
    CancelResponse,
    CreateResponse,
    DeleteResponse,
    ResumeResponse,
)
from axon.protocol.stream_ids import relabelled
from axon.serialization import dumps
from axon.tasks import TaskSet, run_until
from axon.tenants.revocation import REVOKED
from front.socket.connection import UNREAD, ClientGoneError, ClientSocket, StalledError
from front.socket.lanes import LanePlace, Lanes
from front.socket.messages import ClientMessage
from front.socket.requests import SocketRequests

LIFE_S = 3600.0
"""Seconds for which a socket takes requests: 60 minutes, as OpenAI's. Running answers go on."""
MAX_REQUESTS = 64
"""Requests of a socket that are being answered or wait in their lanes. What each one holds of a
client that does not read is the follower's cache (`axon.event_log.merger.CACHE_BYTES`) and one
event."""
ANSWERING_S = 60.0
"""Time limit in seconds for a cancellation or deletion."""

EXPIRED = RequestError(
    "This connection has reached its limit of 60 minutes. Connect again; the new connection can "
    "resume the responses of this one, and continue those that are stored.",
    code="websocket_connection_limit_reached",
)
LEAVING = RequestError(
    "This server is being replaced and takes no more requests. Connect again, and send the request "
    "there.",
    code="server_overloaded",
    status=503,
)
_TOO_MANY = RequestError(
    f"{MAX_REQUESTS} requests of this connection are not answered yet. Wait for their answers, or "
    "use another connection.",
    code="rate_limit_exceeded",
    status=429,
)


@dataclass(frozen=True, slots=True)
class _Close:
    """The end of a session by the server: close code, reason, and an event before it."""

    code: int
    reason: str
    notice: RequestError | None = None


class SocketSession:
    """Reads a client's messages in order, and answers them side by side, a lane at a time.

    A message takes its place in its lane before the next one is read. So do requests that are
    refused, also for their form: an error is no answer to an earlier request of the lane.

    Parameters
    ----------
    connection : ClientSocket
        The client's WebSocket.
    read : Callable[[bytes], Awaitable[ClientMessage]]
        Decodes a message: `front.socket.messages.MessageReader.read`.
    requests : SocketRequests
        Does what the messages ask for.
    log_failure : Callable[[Exception], None]
        Called with each error that is not the client's.
    count : Callable[[str, str], None]
        Called for each answered message, for a metric: its kind, and "ok" or the error's code.
    life_s : float
        Seconds for which the socket takes requests.
    """

    def __init__(
        self,
        *,
        connection: ClientSocket,
        read: Callable[[bytes], Awaitable[ClientMessage]],
        requests: SocketRequests,
        log_failure: Callable[[Exception], None],
        count: Callable[[str, str], None],
        life_s: float = LIFE_S,
    ) -> None:
        self._connection = connection
        self._read_message = read
        self._requests = requests
        self._log_failure = log_failure
        self._count = count
        self._life_s = life_s
        self._lanes = Lanes()
        self._tasks = TaskSet(error="a message of a socket has no answer")
        self._unanswered = 0
        self._refusal: RequestError | None = None
        self._when_idle: _Close | None = None
        self._close: _Close | None = None
        self._over = asyncio.Event()
        self._ended = False

    async def run(self) -> None:
        """Serve the socket until its client leaves, or the server closes it."""
        timer = asyncio.get_running_loop().call_later(self._life_s, self._expire)
        try:
            await run_until(self._over, self._read())
        finally:
            timer.cancel()
            self._ended = True
            await self._tasks.cancel()
            await self._requests.end()
        if self._close is not None:
            await self._end(self._close)

    def leave(self) -> None:
        """Take no more requests; close the socket when the running ones are answered."""
        self._stop(LEAVING, _Close(WSCloseCode.SERVICE_RESTART, "The server is being replaced."))

    def close(self) -> None:
        """Close the socket, whatever runs: its client can resume it elsewhere."""
        self._finish(_Close(WSCloseCode.SERVICE_RESTART, "The server is being replaced."))

    def revoke(self) -> None:
        """Close the socket, because its API key was revoked."""
        self._finish(_Close(WSCloseCode.POLICY_VIOLATION, "The API key is revoked.", REVOKED))

    def _expire(self) -> None:
        self._stop(EXPIRED, _Close(WSCloseCode.GOING_AWAY, "60 minutes are over.", EXPIRED))

    def _stop(self, refusal: RequestError, close: _Close) -> None:
        self._refusal, self._when_idle = refusal, close
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._when_idle is not None and not self._unanswered:
            self._finish(self._when_idle)

    def _finish(self, close: _Close) -> None:
        self._close = self._close or close
        self._over.set()

    def _client_left(self) -> bool:
        """Return whether the client has ended the socket: else it is to resume what runs."""
        return self._ended and self._close is None and not self._connection.refused

    async def _end(self, close: _Close) -> None:
        if close.notice is not None:
            with suppress(ClientGoneError):
                await self._connection.send(error_frame(close.notice))
        await self._connection.close(close.code, close.reason)

    async def _read(self) -> None:
        try:
            while await self._read_one():
                pass
        except ClientGoneError as error:
            self._note_gone(error)

    async def _read_one(self) -> bool:
        """Read a message; return False once there are no more. No message is kept meanwhile."""
        if (received := await self._connection.receive()) is None:
            return False
        await self._take(await self._read_message(received))
        return True

    async def _take(self, message: ClientMessage) -> None:
        """Begin to answer a message, or refuse it: in its lane, unless too many wait there."""
        # What runs can always be cancelled: also while the socket takes no requests any more, and
        # while as many run as may.
        if self._unanswered >= (2 * MAX_REQUESTS if message.at_once else MAX_REQUESTS):
            # The only refusal without a place in the lane: those that wait must be bounded.
            message.refuse(_TOO_MANY)
            await self._refuse(message, _TOO_MANY)
            return
        if self._refusal is not None and not message.at_once:
            message.refuse(self._refusal)
        self._unanswered += 1
        # Nothing is awaited between the reading and this: it is the order of the lane.
        place = LanePlace() if message.at_once else self._lanes.take(message.stream_id)
        self._tasks.start(self._answer(message, place))

    async def _answer(self, message: ClientMessage, place: LanePlace) -> None:
        try:
            with suppress(ClientGoneError):  # nobody receives an answer
                await self._answer_or_refuse(message, place)
        finally:
            message.release()
            place.leave()
            self._unanswered -= 1
            self._close_if_idle()

    async def _answer_or_refuse(self, message: ClientMessage, place: LanePlace) -> None:
        try:
            await self._do(message, place)
            self._count(message.kind, "ok")
        except ClientGoneError:
            raise
        except Exception as error:
            self._log_failure(error)
            await place.turn()
            await self._refuse(message, error)

    async def _refuse(self, message: ClientMessage, error: Exception) -> None:
        event = error_event(error, stream_id=message.stream_id)
        self._count(message.kind, event["code"])
        await self._send(dumps(event))

    async def _do(self, message: ClientMessage, place: LanePlace) -> None:
        match message.take():
            case CancelResponse() | DeleteResponse() as control:
                await self._control(control)
            case CreateResponse() | ResumeResponse() as request:
                begun = self._requests.begun(request, left=self._client_left, waits=place.waits)
                del request
                async with begun as events:
                    message.release()
                    # The response is attended meanwhile, and its log kept.
                    await place.turn()
                    async for event in events:
                        await self._send(relabelled(event.data, message.stream_id))

    async def _control(self, event: CancelResponse | DeleteResponse) -> None:
        try:
            async with asyncio.timeout(ANSWERING_S):
                answer = await self._requests.control(event)
        except TimeoutError as error:
            raise UnavailableError("a cancellation or deletion takes too long") from error
        if answer is not None:
            await self._send(dumps(answer))

    async def _send(self, event: bytes) -> None:
        try:
            await self._connection.send(event)
        except ClientGoneError as error:
            self._note_gone(error)
            raise

    def _note_gone(self, error: ClientGoneError) -> None:
        """Note that nobody reads any more; one that only does not read may come back."""
        if isinstance(error, StalledError):
            self._finish(_Close(WSCloseCode.TRY_AGAIN_LATER, UNREAD))
        else:
            self._ended = True
