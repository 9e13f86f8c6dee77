"""One run: a cloud, clients, faults, and in the end the checks and the figures."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from openai import AsyncOpenAI

from axon.adapters.valkey.client import Valkey
from tests.chaos.answers import Answer, Fault
from tests.chaos.beside import Versions
from tests.chaos.client import Client
from tests.chaos.cloud import DEADLINE_S, ChaosCloud, running_cloud
from tests.chaos.earlier import EarlierTree
from tests.chaos.faults import Faults, Losses
from tests.chaos.figures import Figures, counted, recoveries, regenerated
from tests.chaos.metrics import Watch
from tests.chaos.quiet import Quiet
from tests.chaos.schedule import DECK, Breakage, Kind, Scheduled, schedule
from tests.chaos.stored import compare_database, compare_logs
from tests.chaos.tokens import attempts

SILENT_S = DEADLINE_S + 30.0
QUIET_WITHIN_S = DEADLINE_S + 30.0
RETRY_UNKNOWN_S = 15.0
"""Seconds for which a response that Valkey has lost is requested again."""
SETTLES_S = 3.0
"""Without faults, at the end of a run."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The settings of a run."""

    seed: str
    seconds: float
    clients: int = 20
    every_s: float = 3.0
    deck: tuple[Breakage, ...] = DECK
    root: Path
    say: Callable[[str], None]
    earlier: EarlierTree | None = None
    """The version that runs beside today's; the deck keeps what it survives, too."""

    @property
    def forgets(self) -> bool:
        """True if Valkey loses data."""
        return any(breakage.kind is Kind.FLUSH for breakage in self.deck)

    @property
    def schedule(self) -> list[Scheduled]:
        """The faults, with their times."""
        seconds = self.seconds - SETTLES_S
        return schedule(self.seed, seconds=seconds, every_s=self.every_s, deck=self.deck)


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of a run."""

    what: Run
    figures: Figures
    answers: Sequence[Answer]

    def explanation(self) -> str:
        """Return what a person needs to find out what went wrong."""
        return "\n\n".join(
            (
                f"BROKEN with seed {self.what.seed}",
                "\n".join(map(str, self.what.schedule)),
                "\n".join(self.figures.leaks),
                *(answer.transcript() for answer in self.answers if answer.faults),
            )
        )


async def run(what: Run) -> Report:
    """Do it."""
    losses = Losses(Random(f"losses {what.seed}"))
    async with AsyncExitStack() as stack:
        versions = _versions(what)
        cloud = await stack.enter_async_context(
            running_cloud(
                what.root,
                say=what.say,
                lost=losses,
                **({"adapted": versions.adapted} if versions else {}),
            )
        )
        valkey = Valkey(cloud.addresses.valkey.url)
        stack.push_async_callback(valkey.close)
        report = await _Course(what, cloud, valkey, losses).run()
        if versions:
            what.say(f"started: {versions.summary()}")
        return report


def _versions(what: Run) -> Versions | None:
    if what.earlier is None:
        return None
    folder = what.root / "versions"
    folder.mkdir(parents=True)
    return Versions(earlier=what.earlier, folder=folder)


class _Course:
    def __init__(self, what: Run, cloud: ChaosCloud, valkey: Valkey, losses: Losses) -> None:
        self._what = what
        self._cloud = cloud
        self._valkey = valkey
        self._watch = Watch(cloud)
        self._answers: list[Answer] = []
        self._faults = Faults(
            cloud=cloud,
            valkey=valkey,
            losses=losses,
            random=Random(f"faults {what.seed}"),
            active=self._active,
        )

    def _active(self) -> frozenset[str]:
        return frozenset(
            answer.response_id
            for answer in self._answers
            if answer.response_id and not answer.ended
        )

    async def run(self) -> Report:
        began = time.monotonic()
        watching = asyncio.create_task(self._watch.run())
        try:
            await self._clients_and_faults()
            seconds = time.monotonic() - began
            leaks = await self._check()
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        return Report(what=self._what, figures=self._figures(seconds, leaks), answers=self._answers)

    async def _clients_and_faults(self) -> None:
        stop = asyncio.Event()
        async with (
            AsyncOpenAI(
                api_key=self._cloud.api_key, base_url=self._cloud.addresses.base_url
            ) as openai,
            asyncio.TaskGroup() as group,
        ):
            for number in range(self._what.clients):
                group.create_task(self._client(number, openai).run(stop))
            breaking = group.create_task(self._faults.run(self._what.schedule))
            await asyncio.sleep(self._what.seconds)
            await breaking
            stop.set()

    def _client(self, number: int, openai: AsyncOpenAI) -> Client:
        name = f"{self._what.seed}-{number}"
        return Client(
            name=name,
            openai=openai,
            random=Random(f"client {name}"),
            silent_s=SILENT_S,
            retry_unknown_s=RETRY_UNKNOWN_S if self._what.forgets else 0.0,
            noted=self._answers.append,
        )

    async def _check(self) -> list[str]:
        quiet = Quiet(cloud=self._cloud, valkey=self._valkey, watch=self._watch)
        left = await quiet.wait(within_s=QUIET_WITHIN_S)
        await compare_logs(self._valkey, self._answers, forgotten=self._what.forgets)
        strange = await compare_database(self._cloud.addresses.postgres.dsn(), self._answers)
        # A response that Valkey lost before its client received event 0 is answered for nobody.
        return [*left, *await quiet.leaks(), *(() if self._what.forgets else strange)]

    def _figures(self, seconds: float, leaks: list[str]) -> Figures:
        answers, done = self._answers, self._faults.done
        failures = [answer.final["error"] for answer in answers if answer.final and answer.failed]
        return Figures(
            seconds=seconds,
            answers=len(answers),
            statuses=counted(_outcome(answer) for answer in answers),
            failures=counted(f"{error['code']}: {error['message']}" for error in failures),
            done=counted(str(one.fault) for one in done),
            faults={
                fault: sum(fault in {what for what, _ in answer.faults} for answer in answers)
                for fault in Fault
            },
            resumed=sum(
                what.startswith("response.resume") for answer in answers for _, what in answer.trail
            ),
            regenerated=regenerated(answers, attempts(self._cloud.tokens)),
            taken_over=self._watch.taken_over,
            recoveries_s=recoveries(answers, done),
            leaks=leaks,
        )


def _outcome(answer: Answer) -> str:
    if answer.left or answer.refused:
        return "left" if answer.left else "forgotten"
    return answer.status or "broken"
