"""A connection over HTTP, used as the SDK's WebSocket connection is: messages in, events out."""

import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from openai import APIStatusError, AsyncOpenAI


class HttpConnection:
    """Sends each message as an HTTP request, and receives the events of the last stream.

    The events are received as bytes, since the log must hold the same ones.

    Parameters
    ----------
    openai : AsyncOpenAI
        The unmodified SDK.
    """

    def __init__(self, openai: AsyncOpenAI) -> None:
        # A client that sends again by itself would hide what the first request met.
        self._responses = openai.with_options(max_retries=0).responses
        self._stream = AsyncExitStack()
        self._events: AsyncIterator[bytes] | None = None
        self._refusals: deque[bytes] = deque()

    async def send(self, message: dict[str, Any]) -> None:
        """Send a client's message.

        Raises
        ------
        OpenAIError
            No answer came.
        """
        try:
            await self._send(**message)
        except APIStatusError as error:
            self._refusals.append(_frame(error))

    async def recv_bytes(self) -> bytes:
        """Return the next event, or the refusal of a message, as a frame would have it.

        Raises
        ------
        ConnectionError
            The stream has ended.
        """
        if self._refusals:
            return self._refusals.popleft()
        if self._events is None:
            raise ConnectionError("no stream")
        async for data in self._events:
            return data
        raise ConnectionError("the stream has ended")

    async def close(self) -> None:
        """Leave the stream."""
        self._events = None
        await self._stream.aclose()

    async def _send(self, *, type: str, **body: Any) -> None:  # noqa: A002 - the messages' own name
        match type:
            case "response.create":
                key = body.pop("idempotency_key")
                await self._follow(
                    self._responses.with_streaming_response.create(
                        **body, stream=True, extra_headers={"Idempotency-Key": key}
                    )
                )
            case "response.resume":
                await self._follow(
                    self._responses.with_streaming_response.retrieve(
                        body["response_id"], starting_after=body["starting_after"], stream=True
                    )
                )
            case "response.cancel":
                await self._responses.cancel(body["response_id"])

    async def _follow(self, answer: Any) -> None:
        await self.close()
        response = await self._stream.enter_async_context(answer)
        self._events = _data(response.iter_bytes())


async def _data(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the data of each event; comments have none."""
    received = b""
    async for chunk in stream:
        *blocks, received = (received + chunk).split(b"\n\n")
        for block in blocks:
            for line in block.split(b"\n"):
                if line.startswith(b"data: "):
                    yield line.removeprefix(b"data: ")


def _frame(error: APIStatusError) -> bytes:
    details = error.body if isinstance(error.body, dict) else {}
    shown = {name: details.get(name) for name in ("code", "message")}
    frame = {"type": "error", "status": error.status_code, "error": details, **shown}
    return json.dumps(frame).encode()
