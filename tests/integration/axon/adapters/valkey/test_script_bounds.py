"""Scripts touch a bounded number of keys and bytes, however much there is of what they work on.

Commands and bytes are counted, since times depend on the machine: `python -m benchmarks scripts`
measures the time of each script at its documented maximum.
"""

from typing import Any

import pytest

from axon.adapters.valkey.client import Script
from axon.adapters.valkey.pages import PAGE
from benchmarks.scripts.case import Case
from benchmarks.scripts.cases import CASES
from benchmarks.scripts.run import measure

SIZES = {
    "a response's life": 300,
    "takeover": 1200,
    "abandoned connection": 400,
    "attendance": 1100,
    "conversation": 70,
    "disconnect": 200,
    "workers": 200,
    "deadlines": 300,
    "lost log": 1000,
    "beats": 200,
    "attempts": 2,
    "deletion": 500,
    "eviction": 200,
    "keys": 400,
    "full cache": 200,
}
"""Sizes that take a second at most, and are several pages; `Case.size` is the maximum."""
MOST_COMMANDS = 700
"""At 3 us a command, which a loaded machine takes, 2 ms."""
MOST_BYTES = 650_000
"""Four of the largest events, and what they are published with: they are copied within 1 ms."""


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the names of the scripts that are called; it grows."""
    names, call = set[str](), Script.__call__

    async def noting(script: Script, **arguments: Any) -> Any:
        names.add(script.name)
        return await call(script, **arguments)

    monkeypatch.setattr(Script, "__call__", noting)
    return names


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_scripts_run_a_bounded_number_of_commands(
    case: Case, valkey_url: str, called: set[str]
) -> None:
    costs = await measure(case, url=valkey_url, size=SIZES[case.name])
    assert costs
    assert called >= set(case.scripts), "the case measures what it names"
    assert max(cost.commands for cost in costs) <= MOST_COMMANDS
    assert max(cost.bytes for cost in costs) <= MOST_BYTES


async def test_takeover_reads_what_a_relay_has_left_once(valkey_url: str) -> None:
    """The work is proportional to the responses: before, each call read all that were left."""
    takeover = next(case for case in CASES if case.name == "takeover")
    costs = await measure(takeover, url=valkey_url, size=1200)
    # Each page is scanned twice, so that the limit of connections may leave a part of it.
    scripts = [cost for cost in costs if cost.script]
    assert len(scripts) <= 2.5 * 1200 / PAGE + 4
    assert sum(cost.commands for cost in scripts) <= 8 * 1200


async def test_conversation_is_read_in_pages(valkey_url: str) -> None:
    conversation = next(case for case in CASES if case.name == "conversation")
    costs = await measure(conversation, url=valkey_url, size=40)
    reads = [cost for cost in costs if cost.command == "HMGET"]
    assert len(reads) == 2 * 40, "one for each turn's head, and one for its content"
    heads = [cost for cost in reads if cost.bytes < 2000]
    assert len(heads) == 40, "to accept a request reads no content"


def test_cases_have_a_test_size() -> None:
    assert {case.name for case in CASES} == SIZES.keys()
