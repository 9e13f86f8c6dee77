"""Run the cases, each on an empty Valkey of its own benchmark server."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import Say
from benchmarks.scripts.case import Case
from benchmarks.scripts.cases import CASES
from benchmarks.scripts.measure import Cost, MeasuringValkey
from local.ports import Ports
from local.services.valkey import Valkey as Server
from local.supervision.child import Child
from local.supervision.guardian import Guardian

_RUNS = 3


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """A case, and the cost of each of its calls."""

    case: Case
    costs: Sequence[Cost]

    @property
    def slowest(self) -> Cost:
        """The call that blocked the server for the longest time."""
        return max(self.costs, key=lambda cost: cost.ms)


async def measure(case: Case, *, url: str, size: int) -> list[Cost]:
    """Return the cost of each call of a case; the server's data are deleted first."""
    valkey = MeasuringValkey(url)
    try:
        await valkey.call("FLUSHALL")
        async with case.run(valkey, size):
            valkey.measuring = True
        return valkey.costs
    finally:
        await valkey.close()


async def run(say: Say) -> list[CaseResult]:
    """Measure all cases, each time on a new server: freeing what another case left costs time."""
    results = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="axon-bench-")))
        stack.enter_context(Guardian(owner=str(folder), temporary=folder))
        for case in CASES:
            say(f"{case.name}: {case.size} {case.maximum}")
            # The best run counts: what slows another one down is the machine, which others may use.
            tries = [await _measure_on_new_server(case, folder) for _ in range(_RUNS)]
            results.append(min(tries, key=lambda result: result.slowest.ms))
    return results


async def _measure_on_new_server(case: Case, folder: Path) -> CaseResult:
    with ExitStack() as stack:
        ports = stack.enter_context(Ports())
        server = Server(port=ports.reserve(), folder=folder / "valkey", persistent=False)
        child = Child(server.program(), owner=str(folder), log=folder / "valkey.log")
        stack.callback(child.kill)
        child.wait_until_ready()
        return CaseResult(case=case, costs=await measure(case, url=server.url, size=case.size))
