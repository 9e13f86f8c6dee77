"""When what breaks, decided by the seed alone."""

from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from tests.chaos.cloud import FUNCTIONS, RELAYS, VISIBILITY_S, WORKERS

EVERYBODY = "*"
ENVIRONMENT = "environment"
"""Any one process of a function."""


class Kind(StrEnum):
    """A kind of fault."""

    KILL = "kill"
    TERM = "term"
    STOP = "stop"
    """SIGSTOP, and later SIGCONT."""
    CUT = "cut"
    STALL = "stall"
    REFUSE = "refuse"
    UNSUBSCRIBE = "unsubscribe"
    LOSE = "lose"
    """Some of what is published to relays."""
    FLUSH = "flush"
    """Valkey loses everything: the promises are weaker, so it is not in the deck."""
    FAIL_OVER = "fail over"
    """The primary is killed, and a replica that is `lasts_s` behind is promoted."""
    DEMOTE = "demote"
    """The same, but the former primary lives on, read-only, with its clients' connections."""
    REWIND = "rewind"
    """Valkey is taken back to its state of `lasts_s` ago."""
    CLOCK = "clock"
    """The wall clock of a process goes `amount` seconds wrong, and later right again."""
    HANG = "hang"
    """The worker's engine generates no further token, for ever."""
    HANG_IN_ABORT = "hang in abort"
    """The same, and aborting a generation does not return."""
    SERIES = "series"
    """The workers of one answer are killed, `amount` of them one after the other."""
    EXPIRE = "expire"
    """The jobs of `amount` requests, sent at once, are lost: their deadlines come at once."""


@dataclass(frozen=True, slots=True)
class Breakage:
    """`target` is a process, and where `server` is named, its connections to that."""

    kind: Kind
    target: str = EVERYBODY
    server: str = ""
    lasts_s: float = 0.0
    amount: float = 0.0

    def __str__(self) -> str:
        to = f" to {self.server}" if self.server else ""
        by = f" by {self.amount:g}" if self.amount else ""
        lasts = f" for {self.lasts_s:g} s" if self.lasts_s else ""
        return f"{self.kind} {self.target}{to}{by}{lasts}"


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A fault, and how many seconds after the beginning."""

    at_s: float
    fault: Breakage

    def __str__(self) -> str:
        return f"{self.at_s:7.2f} s  {self.fault}"


ONE_RELAY, ONE_WORKER = "|".join(RELAYS), "|".join(WORKERS)
"""One of them is drawn."""
LEASE_S = 2.0
KILLS = (
    *[Breakage(Kind.KILL, ONE_WORKER)] * 4,
    *[Breakage(Kind.KILL, ONE_RELAY)] * 4,
    *[Breakage(Kind.KILL, ENVIRONMENT)] * 2,
    Breakage(Kind.KILL, FUNCTIONS),
    Breakage(Kind.KILL, "gateway"),
    *[Breakage(Kind.KILL, "front")] * 2,
    Breakage(Kind.KILL, "postgres"),
    Breakage(Kind.KILL, "valkey"),
)
ZOMBIES = (
    *[Breakage(Kind.STOP, ONE_WORKER, lasts_s=VISIBILITY_S + 2.0)] * 2,
    Breakage(Kind.STOP, ONE_RELAY, lasts_s=LEASE_S + 1.5),
    Breakage(Kind.STOP, ENVIRONMENT, lasts_s=2.0),
)
SHUTDOWNS = (Breakage(Kind.TERM, ONE_WORKER), Breakage(Kind.TERM, ONE_RELAY))
PARTITIONS = (
    Breakage(Kind.CUT, EVERYBODY, "valkey"),
    Breakage(Kind.STALL, EVERYBODY, "valkey", 1.5),
    Breakage(Kind.STALL, ONE_RELAY, "valkey", LEASE_S + 1.5),
    Breakage(Kind.REFUSE, ONE_WORKER, "valkey", 2.5),
    Breakage(Kind.REFUSE, EVERYBODY, "postgres", 6.0),
    Breakage(Kind.STALL, EVERYBODY, "postgres", 3.0),
    Breakage(Kind.STALL, ONE_WORKER, "fauxqs", VISIBILITY_S + 2.0),
    Breakage(Kind.REFUSE, EVERYBODY, "fauxqs", 1.5),
)
PUBLICATIONS = (Breakage(Kind.UNSUBSCRIBE), Breakage(Kind.LOSE, lasts_s=4.0))
LOSS = (Breakage(Kind.FLUSH, "valkey"),)
FAILOVERS = (
    *[Breakage(Kind.FAIL_OVER, "valkey", lasts_s=lag_s) for lag_s in (0.1, 0.5, 1.5, 5.0)],
    *[Breakage(Kind.DEMOTE, "valkey", lasts_s=lag_s) for lag_s in (0.1, 2.0)],
    *[Breakage(Kind.REWIND, "valkey", lasts_s=lag_s) for lag_s in (0.1, 0.5, 1.5, 5.0)],
)
CLOCKS = tuple(
    Breakage(Kind.CLOCK, target, lasts_s=4.0, amount=ahead_s)
    for target in (ONE_RELAY, ONE_WORKER)
    for ahead_s in (-60.0, -2.0, 2.0, 60.0)
)
HANGS = (
    *[Breakage(Kind.HANG, ONE_WORKER)] * 2,
    Breakage(Kind.HANG_IN_ABORT, ONE_WORKER),
)
SERIES = (Breakage(Kind.SERIES, "worker", amount=5),) * 2
EXPIRIES = (Breakage(Kind.EXPIRE, "requests", amount=200),)
LOSING = {Kind.FAIL_OVER, Kind.DEMOTE, Kind.REWIND}
"""Kinds of faults after which Valkey may lack its newest writes."""
DECK = (
    KILLS
    + ZOMBIES
    + SHUTDOWNS
    + PARTITIONS
    + PUBLICATIONS
    + FAILOVERS
    + CLOCKS
    + HANGS
    + SERIES
    + EXPIRIES
)


def schedule(
    seed: str, *, seconds: float, every_s: float, deck: tuple[Breakage, ...] = DECK
) -> list[Scheduled]:
    """Deal the deck, shuffled again each time, until the time is over."""
    random = Random(f"schedule {seed}")
    dealt: list[Scheduled] = []
    at_s, left = every_s / 2, list[Breakage]()
    while at_s < seconds:
        left = left or random.sample(deck, len(deck))
        fault = left.pop()
        target = random.choice(fault.target.split("|"))
        dealt.append(Scheduled(at_s, replace(fault, target=target)))
        at_s += random.uniform(0.4, 1.6) * every_s
    return dealt
