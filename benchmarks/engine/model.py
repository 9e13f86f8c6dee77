"""The words of the engine's benchmark: what is asked, what was seen, and two legs side by side."""

from dataclasses import dataclass, field

DIRECT, AXON = "direct", "axon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """`clients` at a time ask `questions` each, for answers of `tokens`; prompts from `first` on.

    Both sides get the same work, prompts included.
    """

    clients: int
    questions: int
    tokens: int
    first: int

    def prompts(self, client: int) -> list[str]:
        """Return what one client asks; no two clients and no two works ask the same."""
        numbers = (self.first + turn * self.clients + client for turn in range(self.questions))
        return [f"Story number {n}. Write a long story about the sea." for n in numbers]

    @property
    def answers(self) -> int:
        return self.clients * self.questions


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one side needed for its work; moments from the first question to the last answer."""

    tokens: int
    seconds: float
    first_tokens_ms: list[float]
    client_cpu_s: float
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One side's turn; `cpu_s` is by process, `idle_cpu_s` the other side's meanwhile."""

    side: str
    work: Work
    seen: Seen
    cpu_s: dict[str, float]
    idle_cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same work done by both, one after the other."""

    direct: Leg
    axon: Leg

    @property
    def throughput(self) -> float:
        """Axon's tokens per second as a share of the engine's own."""
        return tokens_per_s([self.axon]) / tokens_per_s([self.direct])


def tokens_per_s(legs: list[Leg]) -> float:
    """Tokens of all legs per second."""
    return sum(leg.seen.tokens for leg in legs) / sum(leg.seen.seconds for leg in legs)
