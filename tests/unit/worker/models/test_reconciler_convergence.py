"""Any sequence of changes, failures and requests, in virtual time."""

import asyncio
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from axon.directory.workers import ModelState
from axon.exceptions import UnavailableError
from tests.support.virtual_time import run
from tests.unit.worker.models.host_harness import OWN, Scene, a_scene
from tests.unit.worker.models.stub_engines import counted, text
from worker.engines.protocol import EngineError

LONGEST_S = 400.0
"""After so long every failure has been tried again."""

BASE = "own"
ADAPTER = {"adapter_of": BASE, "model_uri": "s3://one"}

Kept = Mapping[str, Any] | None


async def say(scene: Scene, name: str, kept: Kept) -> None:
    if scene.wanted.fail_with is None:
        await scene.say(name, kept)


async def whisper(scene: Scene, name: str, kept: Kept) -> None:
    """Say it, but the worker does not hear that something was said."""
    if scene.wanted.fail_with is None:
        await scene.wanted.put(name, kept)


async def breaks(scene: Scene, name: str, kept: Kept) -> None:
    scene.error[name] = EngineError("broken")


async def mended(scene: Scene, name: str, kept: Kept) -> None:
    scene.error.pop(name, None)


async def database(scene: Scene, name: str, kept: Kept) -> None:
    """It goes away, or comes back."""
    scene.wanted.fail_with = UnavailableError("away") if kept is None else None


async def ask(scene: Scene, name: str, kept: Kept) -> None:
    if scene.host.state_of(name) is ModelState.SERVING:
        scene.answers.append(asyncio.create_task(text(scene.host, name)))


STEPS = st.tuples(
    st.sampled_from([say, whisper, breaks, mended, database, ask]),
    st.sampled_from(["own", "a", "b"]),
    st.sampled_from([None, {}, {"in_place": True}, ADAPTER]),
    st.sampled_from([0.0, 0.4, 1.0, 7.0, 40.0]),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, max_size=20))
def test_it_ends_as_wanted_and_no_answer_is_cut(steps: list[tuple[Any, str, Kept, float]]) -> None:
    async def story() -> None:
        async with a_scene() as scene:
            for step, name, kept, pause_s in steps:
                await step(scene, name, {} if kept == ADAPTER and name == BASE else kept)
                await asyncio.sleep(pause_s)
            scene.error.clear()
            scene.wanted.fail_with = None
            await asyncio.sleep(LONGEST_S)
            said = {"own": OWN} | {model.name: model for model in await scene.wanted.list()}
            wanted = {n: m.version for n, m in said.items() if m.settings is not None}
            # Without its base an adapter fails; what had its name before serves on.
            failed = {n for n in wanted if BASE not in wanted and said[n].settings == ADAPTER}
            served = {n: v for n, v in wanted.items() if n not in failed}
            states = [state for state in scene.states() if state[0] not in failed]
            assert states == sorted((n, ModelState.SERVING, v) for n, v in served.items())
            for name in failed:
                assert (name, ModelState.FAILED, wanted[name]) in scene.states()
            assert await asyncio.gather(*scene.answers) == [counted(10)] * len(scene.answers)
            for key, engine in scene.engines.items():
                assert key[0] in failed or bool(engine.closed) == (key not in served.items())

    run(story())
