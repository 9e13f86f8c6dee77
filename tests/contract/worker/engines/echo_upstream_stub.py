"""A server that answers like the echo engine, by OpenAI's API or by vLLM's.

Each generation takes the next of `faults`. Its tokens are text, in which the bytes of characters
beyond ASCII are lone surrogates.
"""

import asyncio
import codecs
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from aiohttp import web

from axon.serialization import dumps

MODEL = "echo"
_COUNT_TO = re.compile(r"count to (\d+)")
_SPELL = "spell: "
_USER, _OTHER, _ASSISTANT = "<user>", "<other>", "<assistant>"
_END = 0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A failure: at once (`status`), or after a number of tokens (`after`)."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    after: int = 0
    then: Literal["go on", "hang", "cut", "end", "error", "mute"] = "go on"
    reason: str | None = None
    """Finish reason that is sent instead of the true one."""


class EchoUpstream:
    """`requests` holds the bodies of the generations, `counted` the usage of the ended ones."""

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
        self.counted: list[dict[str, int]] = []
        self.asked = 0
        self.busy_s = 0
        """Seconds after which a prompt may be rendered again; 0: now."""
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
        if self.busy_s:
            return web.Response(status=503, headers={"Retry-After": str(self.busy_s)})
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
        words, start = _split(words, len(_word(known)))
        assert "".join(words[:start]) == _word(known)
        size = len(_rendered(messages)) + start
        return await self._generate(request, body, words, start=start, size=size)

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        names = {number: word for word, number in self._words.items()}
        prompt = [names[token_id] for token_id in body["prompt"]]
        known = prompt[prompt.index(_ASSISTANT, prompt.index(_USER)) + 1 :]
        asked = prompt[prompt.index(_USER) + 1 : len(prompt) - len(known) - 1]
        words = _answer(" ".join(asked))
        assert known == words[: len(known)]
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
        most = body.get("max_tokens", self.window - size)
        answer = _UpstreamAnswer(words, start=start, most=most, stops=body.get("stop", []))
        self.running += 1
        self._idle.clear()
        try:
            return await self._stream(request, body, answer, size, fault)
        finally:
            self.running -= 1
            if not self.running:
                self._idle.set()

    async def _stream(
        self,
        request: web.Request,
        body: dict[str, Any],
        answer: "_UpstreamAnswer",
        size: int,
        fault: Fault,
    ) -> web.StreamResponse:
        if fault.then == "mute":  # not even headers
            await asyncio.Event().wait()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for made, (word, text) in enumerate(answer.pieces(whole="prompt" in body)):
            if fault.then != "go on" and made == fault.after:
                return await self._break(request, response, fault)
            if text or "prompt" in body:
                await self._send(response, self._piece(body, word, text))
            await asyncio.sleep(0)
        if fault.then != "go on":
            return await self._break(request, response, fault)
        reason = fault.reason or answer.reason
        await self._send(response, self._piece(body, "", "", reason, stop=answer.found))
        usage = {"prompt_tokens": size, "completion_tokens": answer.made}
        self.counted.append(usage)
        if self._usage and body.get("stream_options", {}).get("include_usage"):
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

    def _piece(
        self,
        body: Mapping[str, Any],
        word: str,
        text: str,
        reason: str | None = None,
        *,
        stop: str | None = None,
    ) -> object:
        if "prompt" not in body:
            chat = {"delta": {"content": text}, "finish_reason": reason, "stop_reason": stop}
            return {"choices": [chat]}
        choice: dict[str, Any] = {"text": text, "finish_reason": reason, "stop_reason": stop}
        if body.get("return_token_ids") and self.ids:
            ended = reason == "length" or stop
            choice["token_ids"] = [] if ended else [self._id(word)]
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
    if counting := _COUNT_TO.fullmatch(text.strip()):
        words = [str(n + 1) for n in range(int(counting[1]))]
    elif text.startswith(_SPELL):
        return list(_word(text.removeprefix(_SPELL)))
    else:
        words = text.split()
    return [f" {word}" if index else word for index, word in enumerate(words)]


def _split(words: list[str], length: int) -> tuple[list[str], int]:
    """Return the words, cut so that the first of them have this length, and how many these are."""
    for number, word in enumerate(words):
        if not length:
            return words, number
        if length < len(word):
            return [*words[:number], word[:length], word[length:], *words[number + 1 :]], number + 1
        length -= len(word)
    return words, len(words)


def _word(text: str) -> str:
    return text.encode().decode("ascii", errors="surrogateescape")


def _bytes(word: str) -> bytes:
    return word.encode(errors="surrogateescape")


class _UpstreamAnswer:
    """The words from `start` on, and where a stop string or the limit ends them."""

    def __init__(
        self, words: Sequence[str], *, start: int, most: int, stops: Sequence[str]
    ) -> None:
        self._words = words[start : start + most]
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._decoder.decode(_bytes("".join(words[:start])))
        known = _bytes("".join(words[:start])).decode(errors="ignore")
        text = _bytes("".join(words[: start + most])).decode(errors="ignore")[len(known) :]
        self.made = 0
        ends = {stop: text.find(stop) + len(stop) for stop in stops if stop in text}
        self.found = min(ends, key=ends.__getitem__, default=None)
        self._end = ends[self.found] if self.found else len(text)
        self._more = start + most < len(words)

    @property
    def reason(self) -> str:
        return "length" if self._more and not self.found else "stop"

    def pieces(self, *, whole: bool) -> Iterator[tuple[str, str]]:
        """Yield tokens and the text that they complete, the stop string's only if `whole`."""
        shown = self._end if whole or not self.found else self._end - len(self.found)
        position = 0
        for word in self._words:
            if self.found and position >= self._end:
                return
            text = self._decoder.decode(_bytes(word))
            yield word, text[: max(0, shown - position)]
            position += len(text)
            self.made += 1
