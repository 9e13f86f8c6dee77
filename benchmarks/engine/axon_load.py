"""The load generator of Axon's sides, a process of its own: clients of a model.

Its argument is a URL, a model and a `Work` as JSON. The URL's scheme says whether the clients use
WebSocket or server-sent events. It writes `window`, `end` and the `WorkResult` as JSON, one line
each.
"""

import gc
import json
import sys
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import uvloop
from typing_extensions import override

from benchmarks.clients import (
    Answer,
    ResponsesClient,
    StreamClient,
    WebSocketClient,
    WrongAnswerError,
)
from benchmarks.engine.closed_loop import PromptClient, PromptResult, run_closed_loops
from benchmarks.engine.model import Work, WorkResult
from benchmarks.model import Load


class _ModelAnswers(StreamClient, PromptClient):
    """Accepts any answer that has an end and whose deltas are its text."""

    def __init__(self, *, url: str, model: str) -> None:
        load = Load(kind="", url=url, model=model, clients=1, tokens=1, seconds=0, cap_s=0)
        super().__init__(load=load)
        self._model = model
        self._ended: dict[str, Any] = {}

    @override
    async def send_prompt(self, prompt: str, *, tokens: int) -> PromptResult:
        self._prepare({"model": self._model, "input": prompt, "max_output_tokens": tokens})
        answer = await self._exchange()
        self._check(answer)
        return PromptResult(answer.ttft_s, self._ended["usage"]["output_tokens"])

    @abstractmethod
    def _prepare(self, content: dict[str, Any]) -> None:
        """Make the next request."""

    def _check(self, answer: Answer) -> None:
        parts = (part for item in self._ended["output"] for part in item["content"])
        text = "".join(part["text"] for part in parts)
        if not answer.delta_moments or "".join(answer.parts) != text:
            raise WrongAnswerError(f"the deltas are not the text: {text!r}")

    @override
    def _accept(self, event: dict[str, Any]) -> None:
        if event["type"] == "response.failed":
            raise WrongAnswerError(f"ended as {event}")
        self._ended = event["response"]


class ModelClient(_ModelAnswers, WebSocketClient):
    """A client over WebSocket."""

    @override
    def _prepare(self, content: dict[str, Any]) -> None:
        self._request = json.dumps({"type": "response.create", **content}).encode()


class SseModelClient(_ModelAnswers, ResponsesClient):
    """A client over server-sent events."""

    @override
    def _prepare(self, content: dict[str, Any]) -> None:
        self._request = self._post(content)


async def run(work: Work, *, url: str, model: str, announce: Callable[[str], None]) -> WorkResult:
    """Connect the clients and do the work."""
    kind = ModelClient if url.startswith("ws") else SseModelClient
    clients = [kind(url=url, model=model) for _ in range(work.clients)]
    try:
        for client in clients:
            await client.connect()
        return await run_closed_loops(work, clients, announce)
    finally:
        for client in clients:
            client.close()


def main() -> None:
    """Do the work that the argument describes."""
    arguments = json.loads(sys.argv[1])
    gc.disable()  # a pause of the generator would be measured as one of the server
    work = Work(**arguments.pop("work"))
    seen = uvloop.run(run(work, **arguments, announce=lambda line: print(line, flush=True)))
    print(json.dumps(asdict(seen)), flush=True)


if __name__ == "__main__":
    main()
