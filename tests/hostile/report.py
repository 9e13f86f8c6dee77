"""The result of a run: its table, and the promises that were broken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.report import table
from benchmarks.stats import percentile
from tests.hostile.bystander import Asked
from tests.hostile.memory import Trend

_INTERNAL = ("internal_error", "gateway_error")


@dataclass(frozen=True, kw_only=True)
class Report:
    """The figures of a run.

    Parameters
    ----------
    seconds : float
        Length of the attacks.
    attacks : Mapping[str, int]
        What the hostile tenant got, by attack and code.
    asked : Asked
        The requests of the other tenant.
    trends : Sequence[Trend]
        The memory of each process, and Valkey's.
    died : Sequence[str]
        Programs whose process ended during the run.
    memory_mb : int
        What Valkey may use.
    """

    seconds: float
    attacks: Mapping[str, int]
    asked: Asked
    trends: Sequence[Trend]
    died: Sequence[str]
    memory_mb: int

    @property
    def broken(self) -> list[str]:
        """The promises that were broken, one a line."""
        codes = [*self.attacks, *self.asked.refusals]
        return [
            *self.asked.wrong,
            *([] if self.asked.seconds else ["the other tenant got no answer"]),
            *(f"{name} died" for name in self.died),
            *(code for code in codes if code.endswith(_INTERNAL)),
            *(
                f"{each.name} grows: {each.before:.1f} MB, then {each.after:.1f} MB"
                for each in self.trends
                if not each.flat
            ),
        ]

    def render(self) -> str:
        """Return the tables."""
        return "\n\n".join((self._other_tenant(), self._attacks(), self._memory()))

    def _other_tenant(self) -> str:
        asked = self.asked
        seconds, silences = asked.seconds or [0.0], asked.silences or [0.0]
        refusals = ", ".join(f"{count} {code}" for code, count in asked.refusals.most_common())
        rows = [
            ("attack", f"{self.seconds:.0f} s, Valkey has {self.memory_mb} MB"),
            ("answers of the other tenant", str(len(asked.seconds))),
            ("without a right answer", str(len(asked.wrong))),
            ("refused and repeated", refusals or "none"),
            ("time of an answer p50 / p99", _both(seconds)),
            ("longest silence p50 / p99 / most", f"{_both(silences)} / {max(silences):.2f} s"),
            ("processes that died", ", ".join(self.died) or "none"),
        ]
        return table(("figure", "value"), rows)

    def _attacks(self) -> str:
        rows = [(name, str(count)) for name, count in sorted(self.attacks.items())]
        return table(("attack: what it got", "times"), rows)

    def _memory(self) -> str:
        rows = [
            (
                each.name,
                f"{each.before:.1f}",
                f"{each.after:.1f}",
                f"{each.most:.1f}",
                "yes" if each.flat else "no",
            )
            for each in self.trends
        ]
        headers = ("process", "MB, second third", "MB, last third", "most", "flat")
        return table(headers, rows)


def _both(values: Sequence[float]) -> str:
    return f"{percentile(values, 50):.2f} s / {percentile(values, 99):.2f} s"
