"""Scheduling of tests on the processes of `pytest -n`: what needs one cloud or model, on one."""

import pytest
from typing_extensions import override
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

UNITS: dict[str, tuple[str, ...]] = {
    # Synthesis of the stacks: half a minute of CPU for the first test, seconds for all others.
    "stacks": (
        "tests/infra/constructs/",
        "tests/infra/cost/",
        "tests/infra/deploy/",
        "tests/infra/stacks/",
        "tests/infra/test_",
    ),
    "local-cloud": ("tests/integration/cli/test_dev.py",),
    "chaos": ("tests/chaos/test_chaos.py",),
    # Both load the language model.
    "model": ("tests/contract/worker/engines/", "tests/infra/images/test_worker_image.py"),
    "model-cloud": ("tests/e2e/test_model.py",),
    "restart-cloud": ("tests/e2e/test_restarts.py",),
    "large-cloud": ("tests/e2e/test_large_input.py",),
    "wheel": ("tests/e2e/test_wheel.py",),
    "echo-cloud": ("tests/e2e/",),
    "clients": ("tests/clients/",),
    "images": ("tests/infra/images/",),
    "worker-death": ("tests/integration/worker/test_worker_death.py",),
    "poison": ("tests/integration/worker/test_poison.py",),
    "flood": ("tests/unit/worker/test_flood.py",),
    "fuzz": ("tests/unit/axon/responses/test_service_fuzz.py",),
    # Import the SDK, which takes seconds.
    "anthropic": (
        "tests/unit/axon/protocol/anthropic/test_sdk_fields.py",
        "tests/unit/front/test_messages.py",
    ),
}
"""Tests that one process runs together, by the start of their ids: the longest first."""
RANKS = {unit: rank for rank, unit in enumerate(UNITS)}


class UnitScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out whole units, in the order in which their tests are collected.

    xdist's own groups (`xdist_group`) are void with pytest 9.2, whose items have no `_nodeid`
    that could be changed: github.com/pytest-dev/pytest-xdist/issues/1386.
    """

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    @override
    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def unit_of(nodeid: str) -> str:
    """Return the name of the unit of a test: its file, where `UNITS` has none for it."""
    for unit, starts in UNITS.items():
        if nodeid.startswith(starts):
            return unit
    return nodeid.partition("::")[0]


def rank_of(nodeid: str) -> int:
    """Return the place of a test's unit: all files come after `UNITS`, in the order they have."""
    return RANKS.get(unit_of(nodeid), len(RANKS))
