"""The plan of each client, decided by the seed alone."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Behaviour(StrEnum):
    """An action of a client while its answer comes."""

    READ = "read"
    DROP = "drop"
    """Loses its own socket, and resumes on another."""
    CANCEL = "cancel"
    LEAVE = "leave"
    """Never comes back; the answer is long enough to be running when the resume window ends."""


_SHARES = {Behaviour.READ: 68, Behaviour.DROP: 17, Behaviour.CANCEL: 10, Behaviour.LEAVE: 5}
_WORDS = ("alpha", "béta", "gamma", "δέλτα", "epsilon", "зета", "eta", "θ", "iota", "🙂")
_LONG = 5_000
_LENGTHS = (5, 220)
_LASTING = (400, 700)
"""Words of an answer that runs long enough to meet several deaths."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One question. It is acted on after `deltas` deltas, with `away_s` between two sockets.

    Parameters
    ----------
    limit : int | None
        `max_output_tokens` of the request.
    rereads_after : int | None
        Once the answer has ended, the client reads it again from after this event.
    """

    prompt: str
    expected: str
    behaviour: Behaviour
    deltas: int
    away_s: float
    abrupt: bool
    continues: bool
    limit: int | None = None
    rereads_after: int | None = None


DOOMED = Plan(
    prompt="the job of this request gets lost",
    expected="the job of this request gets lost",
    behaviour=Behaviour.READ,
    deltas=0,
    away_s=0,
    abrupt=False,
    continues=False,
)
"""A request that only its deadline ends."""


def plan(random: Random) -> Plan:
    """Draw the next one."""
    behaviour = random.choices(tuple(_SHARES), tuple(_SHARES.values()))[0]
    prompt, expected = _question(random, behaviour)
    return Plan(
        prompt=prompt,
        expected=expected,
        behaviour=behaviour,
        deltas=random.randint(0, 12),
        away_s=random.choice((0, 0.1, 0.5, 2.0)),
        abrupt=random.random() < 0.5,
        continues=random.random() < 0.5,
        limit=_limit(random, behaviour),
        rereads_after=random.randint(-1, 8) if random.random() < 0.15 else None,
    )


def _limit(random: Random, behaviour: Behaviour) -> int | None:
    # Who cancels or leaves needs an answer that is still running then.
    ends = behaviour in (Behaviour.READ, Behaviour.DROP)
    return random.randint(1, 100) if ends and random.random() < 0.1 else None


def _question(random: Random, behaviour: Behaviour) -> tuple[str, str]:
    if behaviour in (Behaviour.CANCEL, Behaviour.LEAVE):
        return _count(_LONG)
    length = random.randint(*(_LASTING if random.random() < 0.05 else _LENGTHS))
    if random.random() < 0.7:
        return _count(length)
    text = " ".join(random.choices(_WORDS, k=length))
    return text, text


def _count(length: int) -> tuple[str, str]:
    return f"count to {length}", " ".join(map(str, range(1, length + 1)))
