"""The engine alone, as a worker would start it, in a process of its own.

It runs with the environment of Axon's worker, and so with its settings. For each `Work` (JSON, a
line of standard input) it writes `window`, `end` and the `Seen` as JSON, a line each.
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

from axon.settings import WorkerSettings
from benchmarks.engine.asking import Asker, Told, perform
from benchmarks.engine.model import Work
from worker.engines import create_engine
from worker.engines.protocol import ChatMessage, Engine, GenerateRequest, Sampling
from worker.engines.vllm.model import VllmModel


class EngineAsker(Asker):
    """One client of the engine; `name` tells its requests from others'."""

    def __init__(self, engine: Engine, *, name: str) -> None:
        self._engine = engine
        self._name = name
        self._asked = 0

    async def put(self, prompt: str, *, tokens: int) -> Told:
        began, first_s, made = perf_counter(), 0.0, 0
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
                made += len(chunk.token_ids)
        if not first_s:
            raise ValueError(f"no text answers {prompt!r}")
        return Told(first_s, made)


async def serve(settings: WorkerSettings, out: TextIO) -> None:
    """Work off standard input, until it ends."""
    say = partial(print, file=out, flush=True)
    engine = create_engine(name=settings.engine, slots=settings.slots, model=VllmModel.of(settings))
    try:
        await engine.start()
        say("ready")
        number = 0
        while line := await asyncio.to_thread(sys.stdin.readline):
            work = Work(**json.loads(line))
            number += 1
            askers = [EngineAsker(engine, name=f"{number}-{i}") for i in range(work.clients)]
            seen = await perform(work, askers, say)
            say(json.dumps(asdict(seen)))
    finally:
        await engine.close()


def main() -> None:
    # What an engine prints goes to the log: standard output is for the results.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    uvloop.run(serve(WorkerSettings.from_environ(os.environ), out))


if __name__ == "__main__":
    main()
