"""One run: a cloud, clients, faults, and in the end the checks and the figures."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from openai import AsyncOpenAI

from axon.adapters.valkey.client import Valkey
from tests.chaos.answers import Answer, Observations
from tests.chaos.beside import Versions, unread
from tests.chaos.check import Verdict, check
from tests.chaos.client import Client
from tests.chaos.cloud import DEADLINE_S, ChaosCloud, running_cloud
from tests.chaos.conversations import items_of
from tests.chaos.earlier import EarlierTree
from tests.chaos.faults import Done, Faults, Losses
from tests.chaos.figures import Figures, figures
from tests.chaos.history import History, Op, read
from tests.chaos.metrics import Watch
from tests.chaos.plans import DOOMED, Behaviour
from tests.chaos.quiet import Quiet
from tests.chaos.schedule import DECK, LOSING, Breakage, Kind, Scheduled, schedule
from tests.chaos.stored import database, logs
from tests.chaos.tokens import attempts

SILENT_S = DEADLINE_S + 30.0
QUIET_WITHIN_S = DEADLINE_S + 30.0
RETRY_UNKNOWN_S = 15.0
"""Seconds for which a response that Valkey has lost is requested again."""
ENDED_FOR_S = 5.0
"""Seconds after its end from which on nothing happens to a response."""
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
    def losses(self) -> str:
        """Extent of what Valkey may lose: "", "some" or "everything"."""
        kinds = {breakage.kind for breakage in self.deck}
        return "everything" if Kind.FLUSH in kinds else "some" if kinds & LOSING else ""

    @property
    def history(self) -> Path:
        """The file of the run's history."""
        return self.root / "history.jsonl"

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
    verdict: Verdict

    @property
    def kept(self) -> bool:
        """True if every promise was kept."""
        return not self.verdict.broken and not self.figures.leaks

    def explanation(self) -> str:
        """Return what a person needs to find out what went wrong."""
        return "\n\n".join(
            (
                f"BROKEN with seed {self.what.seed}",
                "\n".join(map(str, self.what.schedule)),
                "\n".join(self.figures.leaks),
                self.verdict.explanation(),
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
        valkey = Valkey(cloud.valkey_url)
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
        self._seen = Observations(trails=False)
        self._history = History(what.history, observe=self._seen.add)
        self._expired = 0
        self._faults = Faults(
            cloud=cloud,
            valkey=valkey,
            losses=losses,
            random=Random(f"faults {what.seed}"),
            active=self._active,
            ended=self._ended,
            expire=self._expire,
            noted=self._noted,
        )

    def _active(self) -> dict[str, int]:
        return {
            answer.response_id: _tokens_due(answer)
            for answer in self._answers
            if answer.response_id and not answer.ended
        }

    def _ended(self) -> set[str]:
        # What the cloud does after the end of a response is done by then.
        before = time.time() - ENDED_FOR_S
        return {
            answer.response_id
            for answer in self._answers
            if answer.final is not None and answer.ended_at < before
        }

    @property
    def _answers(self) -> list[Answer]:
        return list(self._seen.answers.values())

    def _noted(self, done: Done) -> None:
        self._history.add(Op.FAULT, what=str(done.fault), hit=done.hit)

    async def run(self) -> Report:
        what, earlier = self._what, self._what.earlier
        commit = earlier and earlier.commit
        self._history.add(Op.RUN, seed=what.seed, losses=what.losses, earlier=commit)
        began = time.monotonic()
        watching = asyncio.create_task(self._watch.run())
        try:
            await self._clients_and_faults()
            seconds = time.monotonic() - began
            leaks = await self._dump()
        finally:
            self._history.close()
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        verdict = check(read(self._what.history))
        return Report(
            what=self._what,
            verdict=verdict,
            figures=figures(
                verdict,
                seconds=seconds,
                done=self._faults.done,
                attempts=attempts(self._cloud.tokens),
                taken_over=self._watch.taken_over,
                leaks=leaks,
            ),
        )

    async def _clients_and_faults(self) -> None:
        stop = asyncio.Event()
        key, addresses = self._cloud.api_key, self._cloud.addresses
        async with (
            AsyncOpenAI(api_key=key, base_url=addresses.base_url) as openai,
            AsyncOpenAI(api_key=key, base_url=addresses.front_url) as front,
            asyncio.TaskGroup() as group,
        ):
            self._openai, self._group = openai, group
            # The front of an earlier version may serve no WebSocket.
            earlier = bool(self._seen.run.get("earlier"))
            sockets = [openai] if earlier else [openai, front]
            for number in range(self._what.clients):
                # Half of them speak HTTP, a third of these in named conversations; the others use
                # each of the two WebSockets.
                client = self._client(
                    f"{number}",
                    over_http=number % 2 == 1,
                    in_conversations=number % 6 == 1 and not earlier,
                    openai=sockets[number // 2 % len(sockets)],
                )
                group.create_task(client.run(stop))
            breaking = group.create_task(self._faults.run(self._what.schedule))
            await asyncio.sleep(self._what.seconds)
            await breaking
            stop.set()

    def _client(
        self,
        name: str,
        *,
        over_http: bool = False,
        in_conversations: bool = False,
        openai: AsyncOpenAI | None = None,
    ) -> Client:
        name = f"{self._what.seed}-{name}"
        return Client(
            name=name,
            openai=openai or self._openai,
            random=Random(f"client {name}"),
            silent_s=SILENT_S,
            retry_unknown_s=RETRY_UNKNOWN_S if self._what.losses else 0.0,
            history=self._history,
            observations=self._seen,
            over_http=over_http,
            in_conversations=in_conversations,
        )

    def _expire(self, count: int) -> None:
        """Send requests whose jobs get lost; nobody waits here for their deadline."""
        for _ in range(count):
            self._expired += 1
            self._group.create_task(self._doom(f"doomed-{self._expired}"))

    async def _doom(self, name: str) -> None:
        client = self._client(name)
        await client.ask(f"{self._what.seed}-{name}", DOOMED, doomed=True)
        await client.close()

    async def _dump(self) -> list[str]:
        """Note in the history what the servers hold in the end; return what was left behind."""
        quiet = Quiet(cloud=self._cloud, valkey=self._valkey, watch=self._watch)
        left = await quiet.wait(within_s=QUIET_WITHIN_S)
        ids = [answer.response_id for answer in self._answers if answer.response_id]
        self._history.extend([record async for record in logs(self._valkey, ids)])
        key, url = self._cloud.api_key, self._cloud.addresses.front_url
        conversations = sorted({one.conversation for one in self._answers} - {""})
        async with AsyncOpenAI(api_key=key, base_url=url) as openai:
            listed = items_of(openai, conversations, within_s=QUIET_WITHIN_S)
            self._history.extend([record async for record in listed])
        dsn = self._cloud.addresses.postgres.dsn()
        self._history.extend([record async for record in database(dsn)])
        self._history.add(Op.END)
        return [*left, *await quiet.leaks(), *unread(self._cloud.folders.log)]


def _tokens_due(answer: Answer) -> int:
    # Who cancels does not wait for the rest.
    cancels = answer.behaviour is Behaviour.CANCEL
    return 0 if cancels else len(answer.expected.split()) - answer.tokens
