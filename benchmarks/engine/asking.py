"""The closed loops, which are the same whoever is asked."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Protocol

from benchmarks.engine.model import Seen, Work


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: seconds to its first text, and how many tokens it has."""

    first_token_s: float
    tokens: int


class Asker(Protocol):
    """Asks one question at a time."""

    async def put(self, prompt: str, *, tokens: int) -> Told:
        """Ask for an answer of that many tokens at most."""
        ...


async def perform(work: Work, askers: Sequence[Asker], announce: Callable[[str], None]) -> Seen:
    """Do the work, an asker a client; announce where the window begins and ends."""
    announce("window")
    began, cpu = perf_counter(), process_time()
    loops = (_ask_all(asker, work, client) for client, asker in enumerate(askers))
    done = await asyncio.gather(*loops, return_exceptions=True)
    seconds, cpu_s = perf_counter() - began, process_time() - cpu
    announce("end")
    failures = [f"{type(e).__name__}: {e}"[:500] for e in done if isinstance(e, BaseException)]
    told = [one for loop in done if not isinstance(loop, BaseException) for one in loop]
    return Seen(
        tokens=sum(one.tokens for one in told),
        seconds=seconds,
        first_tokens_ms=[one.first_token_s * 1000 for one in told],
        client_cpu_s=cpu_s,
        failures=failures[:5],
    )


async def _ask_all(asker: Asker, work: Work, client: int) -> list[Told]:
    return [await asker.put(prompt, tokens=work.tokens) for prompt in work.prompts(client)]
