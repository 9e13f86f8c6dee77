"""From what is wanted to what is served, in virtual time."""

import asyncio
from itertools import pairwise

import pytest

from axon.directory.workers import ModelState, ModelStatus
from axon.exceptions import SettingsError, UnavailableError
from tests.support.virtual_time import now, run
from tests.unit.worker.models.host_harness import a_scene
from tests.unit.worker.models.stub_engines import counted, text
from worker.engines.protocol import EngineError
from worker.models.reconciler import LOOK_S

SERVING, LOADING, FAILED = ModelState.SERVING, ModelState.LOADING, ModelState.FAILED


class TestConverging:
    def test_nothing_said_is_nothing_done(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                assert scene.host.state_of("other") is LOADING  # nobody has looked yet
                await asyncio.sleep(100)
                assert scene.loads == []
                assert scene.states() == [("own", SERVING, 0)]
                assert scene.host.state_of("other") is None

        run(story())

    def test_models_are_loaded_one_at_a_time_and_announced_before(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                for name in "ab":
                    await scene.say(name, {})
                await asyncio.sleep(0.5)
                expected = [("a", LOADING, 1), ("b", LOADING, 2), ("own", SERVING, 0)]
                assert scene.states() == expected
                assert await scene.host.ready("b")
                assert now() == pytest.approx(2.0)
                assert scene.loads == [(0.0, "a", 1), (1.0, "b", 2)]
                assert await text(scene.host, "a") == counted(10)
                assert scene.told("axon_model_loads_total", outcome="loaded") == 2
                assert scene.told("axon_models", state="serving") == 3

        run(story())

    def test_what_was_missed_is_seen_soon(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                await asyncio.sleep(1)
                await scene.wanted.put("a", {})
                await asyncio.sleep(LOOK_S + 1)
                assert scene.host.state_of("a") is SERVING

        run(story())

    def test_the_deployments_own_model_can_be_unloaded_and_come_again(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                await asyncio.sleep(1)
                await scene.say("own", None)
                await asyncio.sleep(1)
                assert scene.states() == []
                assert await scene.host.health()
                await scene.say("own", {"engine": "echo"})
                await asyncio.sleep(2)
                assert scene.states() == [("own", SERVING, 2)]

        run(story())

    def test_a_new_version_comes_beside_the_old_one(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                running = asyncio.create_task(text(scene.host, "own"))
                await asyncio.sleep(0.5)
                await scene.say("own", {})
                await asyncio.sleep(0.5)
                assert scene.states() == [("own", LOADING, 1), ("own", SERVING, 0)]
                assert scene.host.state_of("own") is SERVING
                assert await running == counted(10)
                assert await text(scene.host, "own") == counted(10)
                assert scene.states() == [("own", SERVING, 1)]

        run(story())

    def test_in_place_the_old_one_ends_first(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                running = asyncio.create_task(text(scene.host, "own", tokens=5))
                await asyncio.sleep(0.5)
                await scene.say("own", {"in_place": True})
                await asyncio.sleep(0.5)
                assert scene.host.state_of("own") is LOADING
                assert await running == counted(5)
                assert scene.loads == []
                assert await scene.host.ready("own")
                assert scene.loads == [(4.0, "own", 1)]
                assert now() == pytest.approx(5.0)

        run(story())

    def test_room_is_made_before_more_is_loaded(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                await asyncio.sleep(1)
                running = asyncio.create_task(text(scene.host, "own", tokens=5))
                await asyncio.sleep(0.5)
                await scene.wanted.put("a", {})
                await scene.say("own", None)
                assert await running == counted(5)
                await asyncio.sleep(2)
                assert scene.loads == [(5.0, "a", 1)]

        run(story())


class TestFailing:
    @pytest.mark.parametrize(
        "error", [EngineError("no weights"), SettingsError("no weights"), OSError("no weights")]
    )
    def test_a_failure_is_announced_and_tried_again_more_and_more_seldom(
        self, error: Exception
    ) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                scene.error["a"] = error
                await scene.say("a", {})
                await asyncio.sleep(10)
                assert ModelStatus("a", FAILED, 1, "no weights") in scene.host.models()
                assert not await scene.host.ready("a")
                await asyncio.sleep(3600)
                times = [at for at, *_ in scene.loads]
                gaps = [later - sooner for sooner, later in pairwise(times)]
                assert len(gaps) > 5
                assert all(30 <= gap <= 302 for gap in gaps)
                assert gaps[0] <= 62
                assert len({round(gap) % 30 for gap in gaps}) > 2  # workers do not go in step
                assert scene.told("axon_model_loads_total", outcome="failed") == len(times)
                scene.error.clear()
                await asyncio.sleep(310)
                assert scene.host.state_of("a") is SERVING

        run(story())

    def test_another_version_is_tried_at_once(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                scene.error["a"] = EngineError("no")
                await scene.say("a", {})
                await asyncio.sleep(5)
                scene.error.clear()
                await scene.say("a", {})
                await asyncio.sleep(2)
                assert scene.states() == [("a", SERVING, 2), ("own", SERVING, 0)]

        run(story())

    def test_a_nudge_is_no_reason_to_try_the_same_again(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                scene.error["a"] = EngineError("no")
                await scene.say("a", {})
                for _ in range(20):
                    await asyncio.sleep(1)
                    scene.changed.set()
                assert len(scene.loads) == 1

        run(story())

    def test_a_version_that_cannot_be_loaded_leaves_the_old_one_serving(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                scene.error["own"] = EngineError("no")
                await scene.say("own", {})
                await asyncio.sleep(5)
                assert scene.states() == [("own", FAILED, 1), ("own", SERVING, 0)]
                assert await text(scene.host, "own") == counted(10)

        run(story())

    def test_a_failure_does_not_keep_others_waiting(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                scene.error["a"] = EngineError("no")
                await scene.wanted.put("a", {})
                await scene.say("b", {})
                await asyncio.sleep(5)
                assert scene.host.state_of("b") is SERVING

        run(story())

    def test_what_is_not_wanted_any_more_is_not_loaded_to_its_end(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                scene.load_s["a"] = 1000.0
                await scene.say("a", {})
                await asyncio.sleep(5)
                await scene.say("a", None)
                await scene.say("b", {})
                await asyncio.sleep(2)
                assert scene.states() == [("b", SERVING, 3), ("own", SERVING, 0)]
                assert scene.engines["a", 1].closed == 1

        run(story())

    def test_what_is_unsaid_while_another_model_leaves_is_not_begun(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                await asyncio.sleep(1)
                running = asyncio.create_task(text(scene.host, "own"))
                await asyncio.sleep(0.5)
                await scene.wanted.put("a", {})
                await scene.say("own", None)
                await asyncio.sleep(0.5)
                assert scene.host.state_of("a") is LOADING
                await scene.say("a", None)
                assert await running == counted(10)
                await asyncio.sleep(10)
                assert scene.loads == []
                assert scene.states() == []

        run(story())

    def test_what_is_loaded_goes_on_while_something_else_is_said(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                scene.load_s["a"] = 100.0
                await scene.say("a", {})
                await asyncio.sleep(5)
                await scene.say("b", {})
                await asyncio.sleep(100)
                assert scene.loads == [(0.0, "a", 1), (100.0, "b", 2)]
                assert scene.host.state_of("b") is SERVING

        run(story())

    @pytest.mark.parametrize("error", [UnavailableError("away"), ValueError("a bug")])
    def test_while_the_database_is_away_what_it_said_holds(self, error: Exception) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                await scene.say("a", {})
                await asyncio.sleep(2)
                scene.wanted.fail_with = error
                await asyncio.sleep(1000)
                assert scene.states() == [("a", SERVING, 1), ("own", SERVING, 0)]

        run(story())

    def test_a_database_that_is_away_from_the_start_leaves_everything_open(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                scene.wanted.fail_with = UnavailableError("away")
                await asyncio.sleep(100)
                assert scene.host.state_of("a") is LOADING
                assert scene.states() == [("own", SERVING, 0)]
                scene.wanted.fail_with = None
                await asyncio.sleep(LOOK_S)
                assert scene.host.state_of("a") is None

        run(story())
