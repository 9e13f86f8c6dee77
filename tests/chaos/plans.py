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


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One question. It is acted on after `deltas` deltas, with `away_s` between two sockets."""

    prompt: str
    expected: str
    behaviour: Behaviour
    deltas: int
    away_s: float
    abrupt: bool
    continues: bool


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
    )


def _question(random: Random, behaviour: Behaviour) -> tuple[str, str]:
    if behaviour in (Behaviour.CANCEL, Behaviour.LEAVE):
        return _count(_LONG)
    length = random.randint(5, 220)
    if random.random() < 0.7:
        return _count(length)
    text = " ".join(random.choices(_WORDS, k=length))
    return text, text


def _count(length: int) -> tuple[str, str]:
    return f"count to {length}", " ".join(map(str, range(1, length + 1)))
