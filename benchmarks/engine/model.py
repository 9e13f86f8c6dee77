"""Values of the engine benchmark: work, its result, and pairs of legs."""

from dataclasses import dataclass, field

DIRECT, AXON, AXON_SSE = "direct", "axon", "axon, SSE"
THROUGH = (AXON, AXON_SSE)
"""Sides that go through Axon: over the gateway's WebSocket, and over the front's SSE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Work of one leg; all sides get the same, prompts included.

    Parameters
    ----------
    clients : int
        Requests at a time.
    questions : int
        Requests of each client.
    tokens : int
        Limit of an answer.
    first : int
        Number of the first prompt.
    """

    clients: int
    questions: int
    tokens: int
    first: int

    def prompts(self, client: int) -> list[str]:
        """Return the prompts of one client; no two clients and no two works share one."""
        numbers = (self.first + turn * self.clients + client for turn in range(self.questions))
        return [f"Story number {n}. Write a long story about the sea." for n in numbers]

    @property
    def answers(self) -> int:
        """Return the number of answers."""
        return self.clients * self.questions


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkResult:
    """Result of one leg; `seconds` are from the first request to the end of the last answer."""

    tokens: int
    seconds: float
    first_tokens_ms: list[float]
    client_cpu_s: float
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One side's leg; `cpu_s` is by process, `idle_cpu_s` that of the idle one meanwhile."""

    side: str
    work: Work
    seen: WorkResult
    cpu_s: dict[str, float]
    idle_cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same work by the engine alone and by a side that goes through Axon."""

    direct: Leg
    axon: Leg

    @property
    def throughput(self) -> float:
        """Return Axon's tokens per second as a share of the engine's own."""
        return tokens_per_s([self.axon]) / tokens_per_s([self.direct])


def tokens_per_s(legs: list[Leg]) -> float:
    """Return the tokens per second of all legs."""
    return sum(leg.seen.tokens for leg in legs) / sum(leg.seen.seconds for leg in legs)
