"""Test processes of `pytest -n` share the tests by units."""

from itertools import chain
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from xdist.remote import Producer

from tests.support.parallel import UNITS, UnitScheduling, rank_of
from tests.support.repository import ROOT

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

TESTS = [
    "tests/contract/cli/test_dlq.py::test_a",
    "tests/contract/cli/test_dlq.py::test_b[a::b]",
    "tests/e2e/test_http.py::test_a",
    "tests/e2e/test_model.py::test_a",
    "tests/e2e/test_sdk.py::TestSdk::test_a",
    "tests/infra/images/test_dockerfiles.py::test_a",
    "tests/infra/stacks/test_data.py::test_a",
    "tests/infra/stacks/test_data.py::test_b",
    "tests/infra/test_app.py::test_a",
    "tests/unit/test_a.py::test_a",
]


class FakeProcess:
    """A test process that keeps what it is sent."""

    def __init__(self, number: int) -> None:
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.shutting_down = False
        self.sent: list[list[int]] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.sent.append(indices)

    def shutdown(self) -> None:
        self.shutting_down = True


def test_unit_scheduling_starts_the_longest_units_and_splits_none() -> None:
    tests = sorted(TESTS, key=rank_of)
    option = SimpleNamespace(loadscopereorder=True)
    config: Any = SimpleNamespace(option=option, getvalue=lambda name: ["2*popen"])
    scheduling = UnitScheduling(config, Producer("test"))
    processes = [FakeProcess(number) for number in range(2)]
    for process in processes:
        node = cast("WorkerController", process)
        scheduling.add_node(node)
        scheduling.add_node_collection(node, tests)
    scheduling.schedule()
    for _ in tests:
        for process in processes:
            for index in chain.from_iterable(list(process.sent)):
                scheduling.mark_test_complete(cast("WorkerController", process), index)
    units = [[[tests[index] for index in unit] for unit in process.sent] for process in processes]
    assert [sent[0] for sent in units] == [TESTS[6:9], [TESTS[3]]]
    assert sorted(units[0] + units[1]) == sorted(
        [TESTS[:2], [TESTS[2], TESTS[4]], [TESTS[3]], [TESTS[5]], TESTS[6:9], [TESTS[9]]]
    )
    assert all(process.shutting_down for process in processes)


def test_units_name_tests_that_exist() -> None:
    files = [str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")]
    starts = [start for unit in UNITS.values() for start in unit]
    assert [start for start in starts if not any(file.startswith(start) for file in files)] == []
