"""A server that answers as the echo engine does, over OpenAI's API: as vLLM's does, or plainly.

It can be told to fail: each generation takes the next of `faults`.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from aiohttp import web

from axon.serialization import dumps

MODEL = "echo"
_COUNT_TO = re.compile(r"count to (\d+)")
_USER, _OTHER, _ASSISTANT = "<user>", "<other>", "<assistant>"
_END = 0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong: at once (`status`), or after so many tokens."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    after: int = 0
    then: Literal["go on", "hang", "cut", "end", "error", "mute"] = "go on"
    reason: str | None = None
    """Told instead of the true one."""


class EchoUpstream:
    """`url` is its base; `requests` are the bodies of the generations it was asked for."""

    def __init__(
        self,
        *,
        kind: Literal["vllm", "openai"] = "openai",
        key: str | None = None,
        window: int = 32_768,
        faults: Sequence[Fault] = (),
        usage: bool = True,
        dribble: bool = False,
    ) -> None:
        self.kind = kind
        self.window = window
        self.url = ""
        self.port = 0
        self.faults = list(faults)
        self.requests: list[dict[str, Any]] = []
        self.asked = 0
        self.models: list[dict[str, Any]] = [
            {"id": MODEL} | ({"max_model_len": window} if kind == "vllm" else {})
        ]
        self.running = 0
        self.ids = True
        self.silent = asyncio.Event()
        self._key = key
        self._usage = usage
        self._dribble = dribble
        self._words: dict[str, int] = {"": _END}
        self._numbers = count(1)
        self._runner: web.AppRunner | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        if self.kind == "vllm":
            app.router.add_post("/v1/completions", self._completions)
            app.router.add_post("/tokenize", self._tokenize)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/v1"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def idle(self) -> None:
        """Wait until nothing is generated: what was, has ended, or its client has left."""
        async with asyncio.timeout(10):
            await self._idle.wait()

    async def _models(self, request: web.Request) -> web.Response:
        self.asked += 1
        if not self._permits(request):
            return _error(401, "Incorrect API key provided")
        return web.json_response({"object": "list", "data": self.models})

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = await request.json()
        tokens = [self._id(word) for word in _rendered(body["messages"])]
        return web.json_response(
            {"count": len(tokens), "max_model_len": self.window, "tokens": tokens}
        )

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        messages = list(body["messages"])
        known = ""
        if messages[-1]["role"] == "assistant":
            assert body["continue_final_message"] is True
            assert body["add_generation_prompt"] is False
            known = messages.pop()["content"]
        words = _answer([m["content"] for m in messages if m["role"] == "user"][-1])
        size = len(_rendered(messages)) + len(known.split())
        assert _joined(words[: len(known.split())]) == known
        return await self._generate(request, body, words, start=len(known.split()), size=size)

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        names = {number: word for word, number in self._words.items()}
        prompt = [names[token_id] for token_id in body["prompt"]]
        known = prompt[prompt.index(_ASSISTANT, prompt.index(_USER)) + 1 :]
        asked = prompt[prompt.index(_USER) + 1 : len(prompt) - len(known) - 1]
        words = _answer(" ".join(asked))
        assert "".join(known) == _joined(words[: len(known)])
        return await self._generate(request, body, words, start=len(known), size=len(prompt))

    async def _generate(
        self,
        request: web.Request,
        body: dict[str, Any],
        words: Sequence[str],
        *,
        start: int,
        size: int,
    ) -> web.StreamResponse:
        self.requests.append(body)
        fault = self.faults.pop(0) if self.faults else Fault()
        if fault.status != 200:
            return web.Response(status=fault.status, headers=fault.headers, body=dumps(fault.body))
        if not self._permits(request):
            return _error(401, "Incorrect API key provided")
        if body["model"] != MODEL:
            return _error(404, f"The model `{body['model']}` does not exist.")
        if size >= self.window:
            return _error(400, f"This model's maximum context length is {self.window} tokens.")
        stop = min(len(words), start + body.get("max_tokens", self.window - size))
        self.running += 1
        self._idle.clear()
        try:
            return await self._stream(request, body, words, (start, stop), size, fault)
        finally:
            self.running -= 1
            if not self.running:
                self._idle.set()

    async def _stream(
        self,
        request: web.Request,
        body: dict[str, Any],
        words: Sequence[str],
        part: tuple[int, int],
        size: int,
        fault: Fault,
    ) -> web.StreamResponse:
        if fault.then == "mute":  # not even headers
            await asyncio.Event().wait()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        start, stop = part
        for index in range(start, stop):
            if fault.then != "go on" and index - start == fault.after:
                return await self._break(request, response, fault)
            text = words[index] if index == 0 else f" {words[index]}"
            await self._send(response, self._piece(body, text))
            await asyncio.sleep(0)
        if fault.then != "go on":
            return await self._break(request, response, fault)
        reason = fault.reason or ("stop" if stop == len(words) else "length")
        await self._send(response, self._piece(body, "", reason))
        if self._usage and body.get("stream_options", {}).get("include_usage"):
            usage = {"prompt_tokens": size, "completion_tokens": stop - start}
            await self._send(response, {"choices": [], "usage": usage})
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _break(
        self, request: web.Request, response: web.StreamResponse, fault: Fault
    ) -> web.StreamResponse:
        if fault.then == "hang":
            await asyncio.Event().wait()
        if fault.then == "cut":
            assert request.transport is not None
            request.transport.abort()
        if fault.then == "error":
            await self._send(response, fault.body)
        return response

    def _piece(self, body: Mapping[str, Any], text: str, reason: str | None = None) -> object:
        if "prompt" not in body:
            return {"choices": [{"delta": {"content": text}, "finish_reason": reason}]}
        choice: dict[str, Any] = {"text": text, "finish_reason": reason}
        if body.get("return_token_ids") and self.ids:
            choice["token_ids"] = [] if reason == "length" else [self._id(text)]
        return {"choices": [choice]}

    async def _send(self, response: web.StreamResponse, event: object) -> None:
        data = b"data: " + dumps(event) + b"\n\n"
        if not self._dribble:
            await response.write(data)
            return
        for byte in data:
            await response.write(bytes([byte]))
            await asyncio.sleep(0)

    def _permits(self, request: web.Request) -> bool:
        return self._key is None or request.headers.get("Authorization") == f"Bearer {self._key}"

    def _id(self, word: str) -> int:
        if word not in self._words:
            self._words[word] = next(self._numbers)
        return self._words[word]


@asynccontextmanager
async def echo_upstream(**arguments: Any) -> AsyncGenerator[EchoUpstream]:
    upstream = EchoUpstream(**arguments)
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.stop()


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)


def _rendered(messages: Sequence[Mapping[str, str]]) -> list[str]:
    words = []
    for message in messages:
        words += [_USER if message["role"] == "user" else _OTHER, *message["content"].split()]
    return [*words, _ASSISTANT]


def _answer(text: str) -> list[str]:
    counting = _COUNT_TO.fullmatch(text.strip())
    return [str(n + 1) for n in range(int(counting[1]))] if counting else text.split()


def _joined(words: Sequence[str]) -> str:
    return " ".join(words)
