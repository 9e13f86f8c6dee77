"""Any sequence of changes, failures and requests, in virtual time."""

import asyncio
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from axon.directory.workers import ModelState
from axon.exceptions import UnavailableError
from tests.support.virtual_time import run
from tests.unit.worker.models.engine_stub import counted, text
from tests.unit.worker.models.host_harness import OWN, ModelsHarness, running_harness
from worker.engines.protocol import EngineError

LONGEST_S = 400.0
"""Seconds after which every failure has been retried."""

BASE = "own"
ADAPTER = {"adapter_of": BASE, "model_uri": "s3://one"}

Kept = Mapping[str, Any] | None


async def set_model(harness: ModelsHarness, name: str, kept: Kept) -> None:
    if harness.desired.fail_with is None:
        await harness.set_model(name, kept)


async def set_without_notice(harness: ModelsHarness, name: str, kept: Kept) -> None:
    """Change a model without notifying the worker."""
    if harness.desired.fail_with is None:
        await harness.desired.put(name, kept)


async def break_model(harness: ModelsHarness, name: str, kept: Kept) -> None:
    harness.error[name] = EngineError("broken")


async def mend_model(harness: ModelsHarness, name: str, kept: Kept) -> None:
    harness.error.pop(name, None)


async def switch_database(harness: ModelsHarness, name: str, kept: Kept) -> None:
    """Make the database unavailable, or available again."""
    harness.desired.fail_with = UnavailableError("away") if kept is None else None


async def ask(harness: ModelsHarness, name: str, kept: Kept) -> None:
    if harness.host.state_of(name) is ModelState.SERVING:
        harness.answers.append(asyncio.create_task(text(harness.host, name)))


STEPS = st.tuples(
    st.sampled_from([set_model, set_without_notice, break_model, mend_model, switch_database, ask]),
    st.sampled_from(["own", "a", "b"]),
    st.sampled_from([None, {}, {"in_place": True}, ADAPTER]),
    st.sampled_from([0.0, 0.4, 1.0, 7.0, 40.0]),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, max_size=20))
def test_reconciler_converges_and_cuts_no_answer(steps: list[tuple[Any, str, Kept, float]]) -> None:
    async def story() -> None:
        async with running_harness() as harness:
            for step, name, kept, pause_s in steps:
                await step(harness, name, {} if kept == ADAPTER and name == BASE else kept)
                await asyncio.sleep(pause_s)
            harness.error.clear()
            harness.desired.fail_with = None
            await asyncio.sleep(LONGEST_S)
            changed = {"own": OWN} | {model.name: model for model in await harness.desired.list()}
            desired = {n: m.version for n, m in changed.items() if m.settings is not None}
            # Without its base an adapter fails; what had its name before serves on.
            failed = {n for n in desired if BASE not in desired and changed[n].settings == ADAPTER}
            served = {n: v for n, v in desired.items() if n not in failed}
            states = [state for state in harness.states() if state[0] not in failed]
            assert states == sorted((n, ModelState.SERVING, v) for n, v in served.items())
            for name in failed:
                assert (name, ModelState.FAILED, desired[name]) in harness.states()
            assert await asyncio.gather(*harness.answers) == [counted(10)] * len(harness.answers)
            for key, engine in harness.engines.items():
                assert key[0] in failed or bool(engine.closed) == (key not in served.items())

    run(story())
