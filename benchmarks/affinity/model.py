"""The words of the affinity's benchmark: conversations, what a turn showed, and two legs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run, in each leg.

    `conversations` of `turns` each, `concurrency` turns at a time, answers of up to `tokens`;
    every conversation has instructions of its own, of `words` words.
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
    """One answer; `first_token_ms` is None where it has no text."""

    conversation: int
    number: int
    first_token_ms: float | None
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Counters:
    """What a worker has counted: tokens that vLLM looked for in its prefix cache, and found there.

    Another engine counts none. `answers` that were completed, by this worker.
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
        return sum(one.queries for one in self.counters.values())

    @property
    def hits(self) -> float:
        return sum(one.hits for one in self.counters.values())

    @property
    def repeated(self) -> int:
        """Tokens of the prompts that their conversations had before: what a cache can hold."""
        sizes = {
            (turn.conversation, turn.number): turn.input_tokens + turn.output_tokens
            for turn in self.turns
        }
        return sum(sizes[turn.conversation, turn.number - 1] for turn in self.follow_ups)

    @property
    def follow_ups(self) -> list[Turn]:
        """All turns but the first of each conversation."""
        return [turn for turn in self.turns if turn.number > 0]
