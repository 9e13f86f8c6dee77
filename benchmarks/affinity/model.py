"""Values of the affinity benchmark: the plan, turns, counters and legs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Work of each leg.

    Parameters
    ----------
    turns : int
        Turns of each conversation.
    concurrency : int
        Turns that run at a time.
    tokens : int
        Limit of an answer.
    words : int
        Length of the instructions; every conversation has its own.
    """

    engine: str
    model: Path | None
    python: Path | None
    workers: int
    conversations: int
    turns: int
    concurrency: int
    tokens: int
    words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One answer; `first_token_ms` is None if it has no text."""

    conversation: int
    number: int
    first_token_ms: float | None
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of one worker.

    Parameters
    ----------
    queries : float
        Tokens that vLLM looked up in its prefix cache; 0 for another engine.
    hits : float
        Tokens that it found there.
    answers : float
        Completed answers.
    """

    queries: float = 0.0
    hits: float = 0.0
    answers: float = 0.0

    def since(self, before: "Counters") -> "Counters":
        """Return what was counted after `before`."""
        return Counters(
            self.queries - before.queries, self.hits - before.hits, self.answers - before.answers
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """All conversations, with or without affinity; `counters` by worker."""

    affinity: bool
    seconds: float
    turns: list[Turn]
    counters: Mapping[str, Counters]

    @property
    def queries(self) -> float:
        """Return the tokens looked up in all prefix caches."""
        return sum(one.queries for one in self.counters.values())

    @property
    def hits(self) -> float:
        """Return the tokens found in all prefix caches."""
        return sum(one.hits for one in self.counters.values())

    @property
    def repeated(self) -> int:
        """Return the prompt tokens that repeat the turn before: the most that caches can hit."""
        sizes = {
            (turn.conversation, turn.number): turn.input_tokens + turn.output_tokens
            for turn in self.turns
        }
        return sum(sizes[turn.conversation, turn.number - 1] for turn in self.follow_ups)

    @property
    def follow_ups(self) -> list[Turn]:
        """Return all turns but the first of each conversation."""
        return [turn for turn in self.turns if turn.number > 0]
