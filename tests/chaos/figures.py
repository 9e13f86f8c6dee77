"""The figures of a run, and how they are printed."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.report import table
from benchmarks.stats import percentile
from tests.chaos.answers import Answer, Fault
from tests.chaos.check import Verdict
from tests.chaos.cloud import DEADLINE_S, WORKERS
from tests.chaos.faults import Done
from tests.chaos.history import Op
from tests.chaos.schedule import Kind
from tests.chaos.tokens import Attempt

MANY_DEATHS = 4


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The events of a run.

    Parameters
    ----------
    regenerated : Mapping[str, Sequence[int]]
        See the function of that name.
    recoveries_s : Mapping[str, Sequence[float]]
        From a process's SIGKILL to the next news of a response that it was serving.
    deaths : Mapping[str, int]
        Deaths of workers that were generating it, by response.
    survived : int
        Responses that completed though at least `MANY_DEATHS` of their workers had died.
    told_late_s : Sequence[float]
        Seconds from the deadline of each request whose job was lost to its client's knowing.
    leaks : Sequence[str]
        What was left behind.
    """

    seconds: float
    answers: int
    statuses: Mapping[str, int]
    failures: Mapping[str, int]
    done: Mapping[str, int]
    faults: Mapping[Fault, int]
    resumed: int
    regenerated: Mapping[str, Sequence[int]]
    taken_over: Mapping[str, int]
    recoveries_s: Mapping[str, Sequence[float]]
    deaths: Mapping[str, int]
    survived: int
    told_late_s: Sequence[float]
    leaks: Sequence[str]

    @property
    def kills(self) -> int:
        """Number of processes that were killed."""
        return sum(count for what, count in self.done.items() if what.startswith(Kind.KILL))

    def render(self) -> str:
        """Return the table."""
        rows = [
            ("seconds", f"{self.seconds:.0f}"),
            ("answers", f"{self.answers}: {_listed(self.statuses)}"),
            ("kills (SIGKILL)", str(self.kills)),
            *((f"  {what}", str(count)) for what, count in sorted(self.done.items())),
            *((fault.value, str(self.faults.get(fault, 0))) for fault in Fault),
            ("failed honestly", f"{sum(self.failures.values())} {_listed(self.failures)}".strip()),
            ("resumes", str(self.resumed)),
            *(
                (f"tokens made again, attempts {how}", _tokens(tokens))
                for how, tokens in self.regenerated.items()
            ),
            ("taken_over connections", _listed(self.taken_over) or "none"),
            *(
                (f"recovery from {name} p50 / p99", _times(times))
                for name, times in sorted(self.recoveries_s.items())
            ),
            (f"answers with {MANY_DEATHS} deaths of workers or more", self._series()),
            ("told of a deadline after p50 / p99", _times(self.told_late_s)),
            ("left behind", str(len(self.leaks))),
        ]
        return table(("figure", "value"), rows)

    def _series(self) -> str:
        many = sum(deaths >= MANY_DEATHS for deaths in self.deaths.values())
        most = max(self.deaths.values(), default=0)
        return f"{many}, of which {self.survived} completed; at most {most} deaths"


def figures(
    verdict: Verdict,
    *,
    seconds: float,
    done: Sequence[Done],
    attempts: Iterable[Attempt],
    taken_over: Mapping[str, int],
    leaks: Sequence[str],
) -> Figures:
    """Return the figures of a run from what was seen and what was broken."""
    answers = verdict.answers
    failures = [answer.final["error"] for answer in answers if answer.final and answer.failed]
    deaths = _deaths(done)
    completed = {answer.response_id for answer in answers if answer.status == "completed"}
    return Figures(
        seconds=seconds,
        answers=len(answers),
        statuses=counted(_outcome(answer) for answer in answers),
        failures=counted(f"{error['code']}: {error['message']}" for error in failures),
        done=counted(str(one.fault) for one in done),
        faults={fault: verdict.count(fault) for fault in Fault},
        resumed=sum(record.op is Op.RESUME for answer in answers for record in answer.trail),
        regenerated=regenerated(answers, attempts),
        taken_over=taken_over,
        recoveries_s=recoveries(answers, done),
        deaths=deaths,
        survived=sum(deaths[one] >= MANY_DEATHS for one in deaths.keys() & completed),
        told_late_s=[
            answer.ended_at - answer.events[0].at - DEADLINE_S
            for answer in answers
            if answer.doomed and answer.failed
        ],
        leaks=leaks,
    )


def _outcome(answer: Answer) -> str:
    if answer.left or answer.forgotten:
        return "left" if answer.left else "forgotten"
    return answer.status or "broken"


def _deaths(done: Iterable[Done]) -> dict[str, int]:
    return counted(
        response_id
        for one in done
        if one.fault.kind is Kind.KILL and one.fault.target in WORKERS
        for response_id in one.hit
    )


def regenerated(answers: Iterable[Answer], attempts: Iterable[Attempt]) -> dict[str, list[int]]:
    """Return, of each attempt that another one followed, how many of its tokens were made again.

    By how it ended: killed, or otherwise (a zombie, a hand-over, a partition).
    """
    completed = {answer.response_id for answer in answers if answer.status == "completed"}
    by_answer: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.response_id in completed:
            by_answer[attempt.response_id].append(attempt)
    found: dict[str, list[int]] = {"killed": [], "ended otherwise": []}
    for of_one in by_answer.values():
        for earlier, later in pairwise(sorted(of_one, key=lambda attempt: attempt.epoch)):
            again = max(earlier.first + earlier.tokens - later.first, 0)
            found["killed" if earlier.running else "ended otherwise"].append(again)
    return found


def recoveries(answers: Iterable[Answer], done: Iterable[Done]) -> dict[str, list[float]]:
    """Return the seconds from each kill to the next news of each response that it hit.

    News is an event that the killed process had not made: what was still on its way is none.
    A request whose job was taken away gets none before its deadline: it is left out.
    """
    by_id = {answer.response_id: answer for answer in answers if not answer.doomed}
    found: dict[str, list[float]] = defaultdict(list)
    for one in done:
        for response_id, made in one.hit.items() if one.fault.kind is Kind.KILL else ():
            if (answer := by_id.get(response_id)) is None:
                continue
            if (at := answer.news(after=one.at, tokens=made)) is not None:
                found[one.fault.target.partition("-")[0]].append(at - one.at)
    return found


def counted(items: Iterable[str]) -> dict[str, int]:
    """Count equal ones."""
    return dict(Counter(items))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()) if count)


def _times(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    return f"{percentile(seconds, 50):.2f} s / {percentile(seconds, 99):.2f} s of {len(seconds)}"


def _tokens(counts: Sequence[int]) -> str:
    return f"{sum(counts)} of {len(counts)} attempts, at most {max(counts, default=0)}"
