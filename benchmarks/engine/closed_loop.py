"""Closed loops of clients, the same for both sides: each asks again when its answer has ended."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Protocol

from benchmarks.engine.model import Work, WorkResult

_MAX_FAILURES = 5


@dataclass(frozen=True, slots=True)
class PromptResult:
    """One answer: seconds to its first text, and its number of tokens."""

    first_token_s: float
    tokens: int


class PromptClient(Protocol):
    """A client that sends one prompt at a time."""

    async def send_prompt(self, prompt: str, *, tokens: int) -> PromptResult:
        """Ask for an answer of at most this many tokens."""
        ...


async def run_closed_loops(
    work: Work, clients: Sequence[PromptClient], announce: Callable[[str], None]
) -> WorkResult:
    """Do the work with these clients; announce where the measured window begins and ends."""
    announce("window")
    began, cpu = perf_counter(), process_time()
    loops = (_send_all(client, work, number) for number, client in enumerate(clients))
    done = await asyncio.gather(*loops, return_exceptions=True)
    seconds, cpu_s = perf_counter() - began, process_time() - cpu
    announce("end")
    failures = [f"{type(e).__name__}: {e}"[:500] for e in done if isinstance(e, BaseException)]
    results = [one for loop in done if not isinstance(loop, BaseException) for one in loop]
    return WorkResult(
        tokens=sum(one.tokens for one in results),
        seconds=seconds,
        first_tokens_ms=[one.first_token_s * 1000 for one in results],
        client_cpu_s=cpu_s,
        failures=failures[:_MAX_FAILURES],
    )


async def _send_all(client: PromptClient, work: Work, number: int) -> list[PromptResult]:
    return [await client.send_prompt(p, tokens=work.tokens) for p in work.prompts(number)]
