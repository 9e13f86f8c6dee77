"""A load process of open streams: opens its streams at a steady rate, and reads them to their end.

It says `ready`, reads a `StreamLoad` (JSON, one line of standard input) and writes the
`StreamsSeen` as JSON.
"""

import asyncio
import gc
import json
import sys
from collections import Counter
from dataclasses import asdict
from itertools import pairwise
from time import perf_counter

import uvloop

from benchmarks.clients import Answer, make_client
from benchmarks.model import Load
from benchmarks.streams.model import StreamLoad, StreamsSeen, bucket

_KEPT_FAILURES = 5


class Answers:
    """Counts what the answers of one process were like in the window."""

    def __init__(self, load: StreamLoad) -> None:
        self._load = load
        self._held = 0
        self._finished = 0
        self._gaps = Counter[int]()
        self._late = Counter[int]()
        self._first_tokens_ms: list[float] = []
        self._failures: list[str] = []

    def add(self, answer: Answer) -> None:
        """Count an answer that is whole."""
        moments, load = answer.delta_moments, self._load
        self._finished += 1
        self._first_tokens_ms.append(answer.ttft_s * 1000)
        self._held += moments[0] <= load.from_at and moments[-1] >= load.to_at
        self._gaps.update(bucket(b - a) for a, b in pairwise(moments) if self._within(b))
        late = lateness(moments, answer.parts, token_s=load.token_s)
        pairs = zip(moments, late, strict=True)
        self._late.update(bucket(seconds) for moment, seconds in pairs if self._within(moment))

    def fail(self, error: BaseException) -> None:
        """Count a stream that has failed."""
        self._failures.append(f"{type(error).__name__}: {error}"[:300])

    def seen(self) -> StreamsSeen:
        """Return the result."""
        return StreamsSeen(
            held=self._held,
            finished=self._finished,
            failed=len(self._failures),
            deltas=self._late.total(),
            gaps=dict(self._gaps),
            late=dict(self._late),
            first_tokens_ms=self._first_tokens_ms,
            failures=self._failures[:_KEPT_FAILURES],
        )

    def _within(self, moment: float) -> bool:
        return self._load.from_at <= moment <= self._load.to_at


def lateness(moments: list[float], parts: list[str], *, token_s: float) -> list[float]:
    """Return by how many seconds each delta of a `count to N` is later than its newest token's due.

    The pace begins with the most punctual delta, so that a late first one excuses no other.
    """
    tokens, after = 0, []
    for moment, part in zip(moments, parts, strict=True):
        # Each token but the first begins with a space.
        tokens += part.count(" ") + (not tokens)
        after.append(moment - tokens * token_s)
    least = min(after)
    return [one - least for one in after]


async def run(load: StreamLoad) -> StreamsSeen:
    """Open the streams, and read each to its end."""
    answers = Answers(load)
    tasks = [asyncio.create_task(_stream(load, number, answers)) for number in load.numbers]
    _, open_tasks = await asyncio.wait(tasks, timeout=load.until - perf_counter())
    for task in open_tasks:
        task.cancel()
        answers.fail(TimeoutError("the answer did not end"))
    return answers.seen()


async def _stream(load: StreamLoad, number: int, answers: Answers) -> None:
    await asyncio.sleep(load.opens_at(number) - perf_counter())
    client = make_client(
        Load(
            kind=load.kind,
            url=load.url,
            model=load.model,
            clients=1,
            tokens=load.tokens,
            seconds=0,
            cap_s=0,
        )
    )
    try:
        answers.add(await client.ask(keep_parts=True))
    except Exception as error:  # any failure is the result of this stream
        answers.fail(error)
    finally:
        client.close()


def main() -> None:
    """Run the load that standard input describes."""
    gc.disable()  # a pause of the load would be measured as one of the server
    print("ready", flush=True)
    load = StreamLoad(**json.loads(sys.stdin.readline()))
    print(json.dumps(asdict(uvloop.run(run(load)))), flush=True)


if __name__ == "__main__":
    main()
