"""Does to a cloud what the schedule says, and remembers whom each kill hit."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.exceptions import UnavailableError
from tests.chaos.cloud import HARNESS, RELAYS, WORKERS, ChaosCloud
from tests.chaos.proxy import FaultProxy
from tests.chaos.schedule import ENVIRONMENT, EVERYBODY, Breakage, Kind, Scheduled
from tests.chaos.tokens import attempts

LOST_SHARE = 0.3
_SERIES_WITHIN_S = 45.0
_PROGRESS_TOKENS = 5
"""Tokens that an attempt makes before its worker is killed: about one flush."""


class Losses:
    """Decides which publications get lost."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.share = 0.0

    def __call__(self) -> bool:
        """Return whether the next publication gets lost."""
        return self._random.random() < self.share


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """A fault that was brought about, and the responses that the process was serving.

    Of each it says how many tokens the process had seen to (-1: it makes none).
    """

    at: float
    fault: Breakage
    hit: Mapping[str, int] = field(default_factory=dict)


@dataclass(kw_only=True)
class Faults:
    """Brings faults about.

    Parameters
    ----------
    valkey : Valkey
        Not through a proxy.
    active : Callable[[], Mapping[str, int]]
        Returns the responses that clients are waiting for, and how many tokens are still due.
    ended : Callable[[], Collection[str]]
        Returns the responses that ended some seconds ago.
    expire : Callable[[int], None]
        Sends this number of requests whose jobs get lost.
    noted : Callable[[Done], None]
        Called with each fault once it was brought about.
    """

    cloud: ChaosCloud
    valkey: Valkey
    losses: Losses
    random: Random
    active: Callable[[], Mapping[str, int]]
    ended: Callable[[], Collection[str]]
    expire: Callable[[int], None]
    noted: Callable[[Done], None]
    done: list[Done] = field(default_factory=list)

    async def run(self, schedule: list[Scheduled]) -> None:
        """Follow the schedule; in the end all is well again."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for scheduled in schedule:
                await asyncio.sleep(began + scheduled.at_s - time.monotonic())
                group.create_task(self.apply(scheduled.fault))

    async def apply(self, fault: Breakage) -> None:
        """Bring a fault about; return when it is over."""
        match fault.kind:
            case Kind.KILL | Kind.TERM | Kind.STOP:
                await self._signal(fault)
            case Kind.UNSUBSCRIBE:
                with suppress(UnavailableError):
                    await self.valkey.call("CLIENT", "KILL", "TYPE", "pubsub")
                self._note(fault)
            case Kind.FLUSH:
                await self.valkey.call("FLUSHALL")
                self._note(fault)
            case Kind.LOSE:
                self._note(fault)
                self.losses.share = LOST_SHARE
                await asyncio.sleep(fault.lasts_s)
                self.losses.share = 0.0
            case Kind.CUT | Kind.STALL | Kind.REFUSE:
                await self._partition(fault)
            case Kind.FAIL_OVER | Kind.DEMOTE | Kind.REWIND:
                await self._lose_newest(fault)
            case Kind.SERIES:
                await self._kill_in_series(fault)
            case Kind.EXPIRE:
                self.expire(int(fault.amount))
                self._note(fault)
            case _:
                await self._control(fault)

    async def _lose_newest(self, fault: Breakage) -> None:
        pair = self.cloud.pair
        match fault.kind:
            case Kind.FAIL_OVER if await pair.fail_over(lag_s=fault.lasts_s, pid=self.cloud.pid):
                self._note(fault)
            case Kind.DEMOTE if await pair.demote(lag_s=fault.lasts_s):
                self._note(fault)
            case Kind.REWIND if await pair.rewind(lag_s=fault.lasts_s, ended=self.ended()):
                self._note(fault)

    async def _control(self, fault: Breakage) -> None:
        """Set the clock of a process, or make its engine hang."""
        control = self.cloud.controls[fault.target]
        self._note(fault)
        if fault.kind is Kind.CLOCK:
            control.clock_s = fault.amount
            await asyncio.sleep(fault.lasts_s)
            control.clock_s = 0.0
        else:
            control.hang(in_abort=fault.kind is Kind.HANG_IN_ABORT)

    async def _kill_in_series(self, fault: Breakage) -> None:
        """Kill the worker of one answer, then the next worker that has advanced it, and so on."""
        due = self.active()
        answer = max(due, key=due.__getitem__, default="")
        deaths = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_SERIES_WITHIN_S):
                while answer in self.active() and deaths < fault.amount:
                    for worker in self._workers_of(answer):
                        deaths += 1
                        await self._signal(Breakage(Kind.KILL, worker))
                    await asyncio.sleep(0.05)
        if deaths:
            self._note(fault)

    def _workers_of(self, response_id: str) -> Iterator[str]:
        """Return the worker that has made some tokens of an answer, if one runs it."""
        for worker in WORKERS:
            for attempt in attempts(self.cloud.tokens, f"{worker}.{self.cloud.pid(worker)}"):
                advanced = attempt.running and attempt.tokens >= _PROGRESS_TOKENS
                if advanced and attempt.response_id == response_id:
                    yield worker

    async def _signal(self, fault: Breakage) -> None:
        pid = self._pid(fault.target)
        if pid is None:  # it is dead already
            return
        hit = await self._delivered_by(fault.target)
        how = {Kind.KILL: signal.SIGKILL, Kind.TERM: signal.SIGTERM, Kind.STOP: signal.SIGSTOP}
        with suppress(ProcessLookupError):
            os.kill(pid, how[fault.kind])
            self._note(fault, hit | self._made_by(fault.target, pid))
            if fault.kind is Kind.STOP:
                await asyncio.sleep(fault.lasts_s)
                os.kill(pid, signal.SIGCONT)

    def _pid(self, target: str) -> int | None:
        if target == "valkey":
            target = self.cloud.pair.primary
        if target != ENVIRONMENT:
            return self.cloud.pid(target)
        processes = self.cloud.environments()
        return self.random.choice(processes).pid if processes else None

    async def _delivered_by(self, target: str) -> dict[str, int]:
        active = self.active()
        if target in RELAYS:
            key = keys.relay_responses(target)
            with suppress(UnavailableError):
                members = await self.valkey.call("SMEMBERS", key)
                return dict.fromkeys(active.keys() & {member.decode() for member in members}, -1)
        return dict.fromkeys(active if target == "gateway" else (), -1)

    def _made_by(self, target: str, pid: int) -> dict[str, int]:
        active = self.active()
        return {
            attempt.response_id: attempt.first + attempt.tokens
            for attempt in attempts(self.cloud.tokens, f"{target}.{pid}")
            if attempt.running and attempt.response_id in active
        }

    async def _partition(self, fault: Breakage) -> None:
        proxies = list(self._between(fault))
        self._note(fault)
        for proxy in proxies:
            {Kind.CUT: proxy.cut, Kind.STALL: proxy.stall, Kind.REFUSE: proxy.refuse}[fault.kind]()
        await asyncio.sleep(fault.lasts_s)
        for proxy in proxies:
            proxy.heal()

    def _between(self, fault: Breakage) -> Iterator[FaultProxy]:
        for (user, server), proxy in self.cloud.proxies.items():
            if server == fault.server and user != HARNESS and fault.target in (user, EVERYBODY):
                yield proxy

    def _note(self, fault: Breakage, hit: Mapping[str, int] | None = None) -> None:
        done = Done(at=time.time(), fault=fault, hit=hit or {})
        self.done.append(done)
        self.noted(done)
