"""The engine alone, in a process of its own, as a worker would start it.

It runs in the environment of Axon's worker, and so with its settings. For each `Work` (JSON, one
line of standard input) it writes `window`, `end` and the `WorkResult` as JSON, one line each.
"""

import asyncio
import json
import os
import sys
from contextlib import aclosing
from dataclasses import asdict
from functools import partial
from time import perf_counter
from typing import TextIO

import uvloop
from typing_extensions import override

from axon.settings import WorkerSettings
from benchmarks.engine.closed_loop import PromptClient, PromptResult, run_closed_loops
from benchmarks.engine.model import Work
from worker.engines.factory import create_engine
from worker.engines.protocol import ChatMessage, Engine, GenerateRequest, Sampling
from worker.engines.vllm.model import VllmModel


class EngineClient(PromptClient):
    """One client of the engine; `name` distinguishes its requests from those of others."""

    def __init__(self, engine: Engine, *, name: str) -> None:
        self._engine = engine
        self._name = name
        self._asked = 0

    @override
    async def send_prompt(self, prompt: str, *, tokens: int) -> PromptResult:
        began, first_s, tokens_made = perf_counter(), 0.0, 0
        model = self._engine.info().models[0].id
        self._asked += 1
        request = GenerateRequest(
            request_id=f"{self._name}-{self._asked}",
            model=model,
            prompt=await self._engine.assemble(model, [ChatMessage("user", prompt)]),
            sampling=Sampling(max_tokens=tokens),
        )
        async with aclosing(self._engine.generate(request)) as chunks:
            async for chunk in chunks:
                if chunk.text and not first_s:
                    first_s = perf_counter() - began
                tokens_made += len(chunk.token_ids)
        if not first_s:
            raise ValueError(f"no text answers {prompt!r}")
        return PromptResult(first_s, tokens_made)


async def serve(settings: WorkerSettings, out: TextIO) -> None:
    """Do the work that arrives at standard input, until it ends."""
    say = partial(print, file=out, flush=True)
    engine = create_engine(name=settings.engine, slots=settings.slots, model=VllmModel.of(settings))
    try:
        await engine.start()
        say("ready")
        number = 0
        while line := await asyncio.to_thread(sys.stdin.readline):
            work = Work(**json.loads(line))
            number += 1
            clients = [EngineClient(engine, name=f"{number}-{i}") for i in range(work.clients)]
            seen = await run_closed_loops(work, clients, say)
            say(json.dumps(asdict(seen)))
    finally:
        await engine.close()


def main() -> None:
    """Serve standard input with the engine of the environment's settings."""
    # Engines print to standard output, which is for the results here: their output goes to the log.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    uvloop.run(serve(WorkerSettings.from_environ(os.environ), out))


if __name__ == "__main__":
    main()
