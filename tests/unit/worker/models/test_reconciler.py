"""The reconciler, in virtual time."""

import asyncio
from itertools import pairwise

import pytest

from axon.directory.workers import ModelState, ModelStatus
from axon.exceptions import SettingsError, UnavailableError
from tests.support.virtual_time import now, run
from tests.unit.worker.models.engine_stub import counted, text
from tests.unit.worker.models.host_harness import running_harness
from worker.engines.protocol import EngineError
from worker.models.reconciler import READ_INTERVAL_S

SERVING, LOADING, FAILED = ModelState.SERVING, ModelState.LOADING, ModelState.FAILED


class TestConvergence:
    def test_reconciler_without_changes_does_nothing(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                assert harness.host.state_of("other") is LOADING  # nobody has looked yet
                await asyncio.sleep(100)
                assert harness.loads == []
                assert harness.states() == [("own", SERVING, 0)]
                assert harness.host.state_of("other") is None

        run(story())

    def test_reconciler_loads_models_one_at_a_time_and_shows_them_before(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                for name in "ab":
                    await harness.set_model(name, {})
                await asyncio.sleep(0.5)
                expected = [("a", LOADING, 1), ("b", LOADING, 2), ("own", SERVING, 0)]
                assert harness.states() == expected
                assert await harness.host.ready("b")
                assert now() == pytest.approx(2.0)
                assert harness.loads == [(0.0, "a", 1), (1.0, "b", 2)]
                assert await text(harness.host, "a") == counted(10)
                assert harness.metric("axon_model_loads_total", outcome="loaded") == 2
                assert harness.metric("axon_models", state="serving") == 3

        run(story())

    def test_reconciler_finds_a_change_without_a_notice(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                await asyncio.sleep(1)
                await harness.desired.put("a", {})
                await asyncio.sleep(READ_INTERVAL_S + 1)
                assert harness.host.state_of("a") is SERVING

        run(story())

    def test_reconciler_unloads_and_reloads_the_deployments_model(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                await asyncio.sleep(1)
                await harness.set_model("own", None)
                await asyncio.sleep(1)
                assert harness.states() == []
                assert await harness.host.health()
                await harness.set_model("own", {"engine": "echo"})
                await asyncio.sleep(2)
                assert harness.states() == [("own", SERVING, 2)]

        run(story())

    def test_reconciler_loads_a_new_version_while_the_old_one_serves(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                running = asyncio.create_task(text(harness.host, "own"))
                await asyncio.sleep(0.5)
                await harness.set_model("own", {})
                await asyncio.sleep(0.5)
                assert harness.states() == [("own", LOADING, 1), ("own", SERVING, 0)]
                assert harness.host.state_of("own") is SERVING
                assert await running == counted(10)
                assert await text(harness.host, "own") == counted(10)
                assert harness.states() == [("own", SERVING, 1)]

        run(story())

    def test_reconciler_in_place_unloads_the_old_version_first(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                running = asyncio.create_task(text(harness.host, "own", tokens=5))
                await asyncio.sleep(0.5)
                await harness.set_model("own", {"in_place": True})
                await asyncio.sleep(0.5)
                assert harness.host.state_of("own") is LOADING
                assert await running == counted(5)
                assert harness.loads == []
                assert await harness.host.ready("own")
                assert harness.loads == [(4.0, "own", 1)]
                assert now() == pytest.approx(5.0)

        run(story())

    def test_reconciler_unloads_before_it_loads(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                await asyncio.sleep(1)
                running = asyncio.create_task(text(harness.host, "own", tokens=5))
                await asyncio.sleep(0.5)
                await harness.desired.put("a", {})
                await harness.set_model("own", None)
                assert await running == counted(5)
                await asyncio.sleep(2)
                assert harness.loads == [(5.0, "a", 1)]

        run(story())


class TestFailures:
    @pytest.mark.parametrize(
        "error", [EngineError("no weights"), SettingsError("no weights"), OSError("no weights")]
    )
    def test_reconciler_reports_a_failure_and_retries_with_backoff(self, error: Exception) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                harness.error["a"] = error
                await harness.set_model("a", {})
                await asyncio.sleep(10)
                assert ModelStatus("a", FAILED, 1, "no weights") in harness.host.models()
                assert not await harness.host.ready("a")
                await asyncio.sleep(3600)
                times = [at for at, *_ in harness.loads]
                gaps = [later - sooner for sooner, later in pairwise(times)]
                assert len(gaps) > 5
                assert all(30 <= gap <= 302 for gap in gaps)
                assert gaps[0] <= 62
                assert len({round(gap) % 30 for gap in gaps}) > 2  # workers do not go in step
                assert harness.metric("axon_model_loads_total", outcome="failed") == len(times)
                harness.error.clear()
                await asyncio.sleep(310)
                assert harness.host.state_of("a") is SERVING

        run(story())

    def test_reconciler_loads_another_version_at_once_after_a_failure(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                harness.error["a"] = EngineError("no")
                await harness.set_model("a", {})
                await asyncio.sleep(5)
                harness.error.clear()
                await harness.set_model("a", {})
                await asyncio.sleep(2)
                assert harness.states() == [("a", SERVING, 2), ("own", SERVING, 0)]

        run(story())

    def test_reconciler_ignores_notices_while_a_version_backs_off(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                harness.error["a"] = EngineError("no")
                await harness.set_model("a", {})
                for _ in range(20):
                    await asyncio.sleep(1)
                    harness.changed.set()
                assert len(harness.loads) == 1

        run(story())

    def test_reconciler_keeps_the_old_version_if_the_new_one_fails(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                harness.error["own"] = EngineError("no")
                await harness.set_model("own", {})
                await asyncio.sleep(5)
                assert harness.states() == [("own", FAILED, 1), ("own", SERVING, 0)]
                assert await text(harness.host, "own") == counted(10)

        run(story())

    def test_reconciler_loads_other_models_after_a_failure(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                harness.error["a"] = EngineError("no")
                await harness.desired.put("a", {})
                await harness.set_model("b", {})
                await asyncio.sleep(5)
                assert harness.host.state_of("b") is SERVING

        run(story())

    def test_reconciler_cancels_the_load_of_a_model_no_longer_desired(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                harness.load_s["a"] = 1000.0
                await harness.set_model("a", {})
                await asyncio.sleep(5)
                await harness.set_model("a", None)
                await harness.set_model("b", {})
                await asyncio.sleep(2)
                assert harness.states() == [("b", SERVING, 3), ("own", SERVING, 0)]
                assert harness.engines["a", 1].closed == 1

        run(story())

    def test_reconciler_never_loads_a_model_withdrawn_while_another_drains(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                await asyncio.sleep(1)
                running = asyncio.create_task(text(harness.host, "own"))
                await asyncio.sleep(0.5)
                await harness.desired.put("a", {})
                await harness.set_model("own", None)
                await asyncio.sleep(0.5)
                assert harness.host.state_of("a") is LOADING
                await harness.set_model("a", None)
                assert await running == counted(10)
                await asyncio.sleep(10)
                assert harness.loads == []
                assert harness.states() == []

        run(story())

    def test_reconciler_continues_a_load_while_other_models_change(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                harness.load_s["a"] = 100.0
                await harness.set_model("a", {})
                await asyncio.sleep(5)
                await harness.set_model("b", {})
                await asyncio.sleep(100)
                assert harness.loads == [(0.0, "a", 1), (100.0, "b", 2)]
                assert harness.host.state_of("b") is SERVING

        run(story())

    @pytest.mark.parametrize("error", [UnavailableError("away"), ValueError("a bug")])
    def test_reconciler_keeps_the_last_desired_state_while_the_database_is_away(
        self, error: Exception
    ) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                await harness.set_model("a", {})
                await asyncio.sleep(2)
                harness.desired.fail_with = error
                await asyncio.sleep(1000)
                assert harness.states() == [("a", SERVING, 1), ("own", SERVING, 0)]

        run(story())

    def test_reconciler_treats_any_model_as_loading_until_the_first_read(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                harness.desired.fail_with = UnavailableError("away")
                await asyncio.sleep(100)
                assert harness.host.state_of("a") is LOADING
                assert harness.states() == [("own", SERVING, 0)]
                harness.desired.fail_with = None
                await asyncio.sleep(READ_INTERVAL_S)
                assert harness.host.state_of("a") is None

        run(story())
