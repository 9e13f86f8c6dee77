"""The host of several engines, in virtual time."""

import asyncio
from dataclasses import replace

import pytest

from axon.directory.workers import ModelState, ModelStatus
from tests.support.virtual_time import now, run
from tests.unit.worker.models.engine_stub import Loadable, a_request, counted, text
from worker.engines.protocol import (
    EngineDeadError,
    EngineError,
    ModelInfo,
    Prompt,
    RefusedError,
    UnloadedError,
)
from worker.models.host import ModelHost

STOP_S = 20.0
SERVING, LOADING, UNLOADING, FAILED = (
    ModelState.SERVING,
    ModelState.LOADING,
    ModelState.UNLOADING,
    ModelState.FAILED,
)


async def host_of(**engines: Loadable) -> ModelHost:
    host = ModelHost(slots=7, stop_timeout_s=STOP_S)
    for name, engine in engines.items():
        await host.load(name, 1, engine)
    return host


class TestServing:
    def test_host_asks_each_engine_by_its_own_model_name(self) -> None:
        async def story() -> None:
            a, b = Loadable(models=["inner-a"]), Loadable(models=["inner-b"])
            host = await host_of(a=a, b=b)
            assert await text(host, "a") == await text(host, "b", tokens=10) == counted(10)
            assert (a.asked, b.asked) == (["inner-a"], ["inner-b"])

        run(story())

    def test_host_has_a_request_checked_by_the_engine_of_its_prompt(self) -> None:
        async def story() -> None:
            host = await host_of(a=Loadable(models=["inner-a"]), b=Loadable(models=["inner-b"]))
            request = await a_request(host, "a")
            await host.prepare(request)
            in_a_format = replace(request, text_format={"type": "json_object"})
            with pytest.raises(RefusedError, match=r"'inner-a' cannot answer in 'text\.format'"):
                await host.prepare(in_a_format)
            with pytest.raises(RefusedError, match="'gone'"):
                await host.prepare(replace(request, model="gone", prompt=Prompt((1,), "")))

        run(story())

    def test_host_serves_several_models_of_an_engine_under_their_own_names(self) -> None:
        async def story() -> None:
            engine = Loadable(models=["base", "pirate"])
            host = await host_of(x=engine)
            assert await text(host, "pirate") == counted(10)
            assert engine.asked == ["pirate"]
            with pytest.raises(RefusedError, match="'x'"):
                await text(host, "x")
            assert [status.name for status in host.models()] == ["base", "pirate"]
            assert [status.declared for status in host.models()] == ["x", "x"]
            assert host.versions() == {"x": 1}

        run(story())

    def test_host_prefers_a_declared_name_to_an_engines_own(self) -> None:
        async def story() -> None:
            upstream, declared = Loadable(models=["x", "y"]), Loadable()
            host = await host_of(upstream=upstream, x=declared)
            await text(host, "x")
            assert declared.asked == ["inner"]
            assert sorted(model.id for model in host.info().models) == ["x", "y"]

        run(story())

    def test_host_lists_all_models_and_the_workers_slots(self) -> None:
        async def story() -> None:
            host = await host_of(a=Loadable(), b=Loadable())
            assert host.info().slots == 7
            assert host.info().models == (ModelInfo("a", 500, 400), ModelInfo("b", 500, 400))

        run(story())

    def test_host_is_healthy_when_all_serving_engines_are(self) -> None:
        async def story() -> None:
            sick = Loadable()
            host = await host_of(a=Loadable(), b=sick)
            assert await host.health()
            sick.sick = True
            assert not await host.health()
            host.unload("b")
            assert await host.health()

        run(story())

    def test_host_refuses_a_model_that_no_engine_serves(self) -> None:
        async def story() -> None:
            host = await host_of(a=Loadable())
            request = await a_request(host, "a")
            host.unload("a")
            await host.drain_unloaded()
            host.set_pending([])
            with pytest.raises(RefusedError, match="'a' is no longer served"):
                await host.assemble("a", [])
            with pytest.raises(UnloadedError):  # another worker may serve it
                [chunk async for chunk in host.generate(request)]

        run(story())

    def test_host_passes_on_the_death_of_an_engine(self) -> None:
        async def story() -> None:
            engine = Loadable()
            host = await host_of(a=engine)
            running = asyncio.create_task(text(host, "a"))
            await asyncio.sleep(1.5)
            await engine.close()
            with pytest.raises(EngineDeadError):
                await running

        run(story())

    def test_host_aborts_an_answer(self) -> None:
        async def story() -> None:
            host = await host_of(a=Loadable(), b=Loadable())
            running = asyncio.create_task(text(host, "b"))
            await asyncio.sleep(2.5)
            await host.abort("r-b-10")
            assert await running == counted(3)
            assert now() == pytest.approx(2.5)

        run(story())


class TestUnloading:
    def test_host_completes_an_answer_on_the_engine_that_began_it(self) -> None:
        async def story() -> None:
            old, new = Loadable(), Loadable()
            host = await host_of(a=old)
            running = asyncio.create_task(text(host, "a"))
            await asyncio.sleep(2.5)
            await host.load("a", 2, new)
            draining = asyncio.create_task(host.drain_unloaded())
            assert await text(host, "a", tokens=3) == counted(3)
            assert [(status.state, status.version) for status in host.models()] == [
                (SERVING, 2),
                (UNLOADING, 1),
            ]
            assert await running == counted(10)
            assert (len(old.asked), len(new.asked)) == (1, 1)
            await draining
            assert now() == pytest.approx(9.0)
            assert (old.closed, new.closed) == (1, 0)
            assert host.models() == [ModelStatus("a", SERVING, 2)]

        run(story())

    def test_host_generates_on_the_engine_that_rendered_the_prompt(self) -> None:
        async def story() -> None:
            old, new = Loadable(), Loadable()
            host = await host_of(a=old)
            request = await a_request(host, "a")
            await host.load("a", 2, new)
            assert [chunk async for chunk in host.generate(request)]
            assert (len(old.asked), len(new.asked)) == (1, 0)
            await host.drain_unloaded()
            with pytest.raises(UnloadedError, match="Version 1 of the model 'a'"):
                [chunk async for chunk in host.generate(request)]
            assert (len(old.asked), len(new.asked)) == (1, 0)

        run(story())

    def test_host_ends_an_answer_that_exceeds_the_stop_timeout(self) -> None:
        async def story() -> None:
            engine = Loadable()
            host = await host_of(a=engine)
            request = await a_request(host, "a", tokens=100)
            texts = []

            async def read() -> None:
                async for chunk in host.generate(request):
                    texts.append(chunk.text)

            running = asyncio.create_task(read())
            await asyncio.sleep(0.5)
            host.unload("a")
            await host.drain_unloaded()
            assert now() == pytest.approx(0.5 + STOP_S)
            assert engine.closed == 1
            with pytest.raises(UnloadedError):
                await running
            assert "".join(texts) == counted(21)

        run(story())

    def test_host_closes_an_engine_that_ignores_the_abort(self) -> None:
        async def story() -> None:
            class Stubborn(Loadable):
                async def abort(self, request_id: str) -> None: ...

            host = await host_of(a=Stubborn())
            running = asyncio.create_task(text(host, "a", tokens=100))
            await asyncio.sleep(0.5)
            host.unload("a")
            await host.drain_unloaded()
            with pytest.raises(UnloadedError):
                await running
            assert 20 < now() < 30

        run(story())

    @pytest.mark.parametrize("call", ["abort", "close"])
    def test_host_removes_an_engine_that_fails_to_close(
        self, call: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: object) -> None:
            raise EngineError("no")

        async def story() -> None:
            engine = Loadable()
            monkeypatch.setattr(engine, call, fail)
            host = await host_of(a=engine)
            running = asyncio.create_task(text(host, "a", tokens=100))
            await asyncio.sleep(0.5)
            host.unload("a")
            await host.drain_unloaded()
            assert host.models() == []
            running.cancel()

        run(story())

    def test_host_survives_the_death_of_a_draining_engine(self) -> None:
        async def story() -> None:
            engine = Loadable()
            host = await host_of(a=engine)
            running = asyncio.create_task(text(host, "a"))
            await asyncio.sleep(0.5)
            host.unload("a")
            draining = asyncio.create_task(host.drain_unloaded())
            await asyncio.sleep(0.5)
            await engine.close()
            with pytest.raises(UnloadedError):
                await running
            await draining

        run(story())

    def test_host_does_not_wait_for_a_cancelled_reader(self) -> None:
        async def story() -> None:
            host = await host_of(a=Loadable())
            running = asyncio.create_task(text(host, "a", tokens=100))
            await asyncio.sleep(0.5)
            host.unload("a")
            running.cancel()
            await host.drain_unloaded()
            assert now() == pytest.approx(0.5)

        run(story())

    def test_host_that_is_closed_closes_all_engines(self) -> None:
        async def story() -> None:
            engines = [Loadable() for _ in range(3)]
            host = await host_of(a=engines[0], b=engines[1])
            running = asyncio.create_task(text(host, "b"))
            await asyncio.sleep(0.5)
            await host.load("a", 2, engines[2])
            await host.close()
            assert [engine.closed for engine in engines] == [1, 1, 1]
            with pytest.raises(EngineDeadError):
                await running

        run(story())


class TestLoading:
    def test_host_closes_an_engine_that_does_not_start(self) -> None:
        async def story() -> None:
            old, new = Loadable(), Loadable(error=OSError("no memory"))
            host = await host_of(a=old)
            with pytest.raises(OSError, match="no memory"):
                await host.load("a", 2, new)
            assert (old.closed, new.closed) == (0, 1)
            assert await text(host, "a") == counted(10)

        run(story())

    def test_host_is_ready_once_the_model_is_served(self) -> None:
        async def story() -> None:
            host = await host_of()
            host.set_pending([ModelStatus("a", LOADING, 1)])
            waiting = asyncio.create_task(host.ready("a"))
            await host.load("a", 1, Loadable(load_s=5))
            assert await waiting
            assert now() == pytest.approx(5.0)
            assert await host.ready("a")

        run(story())

    def test_host_is_not_ready_if_the_model_fails_or_is_not_desired(self) -> None:
        async def story() -> None:
            host = await host_of()
            assert not await host.ready("a")
            for end in ([ModelStatus("a", FAILED, 1, "no")], []):
                host.set_pending([ModelStatus("a", LOADING, 1)])
                waiting = asyncio.create_task(host.ready("a"))
                await asyncio.sleep(1)
                host.set_pending(end)
                assert not await waiting

        run(story())

    def test_host_treats_any_model_as_loading_until_the_desired_state_is_known(self) -> None:
        async def story() -> None:
            host = await host_of(a=Loadable())
            assert host.state_of("b") is None
            host.set_pending(None)
            assert host.state_of("b") is LOADING
            waiting = asyncio.create_task(host.ready("b"))
            await asyncio.sleep(1)
            host.set_pending([])
            assert not await waiting
            assert host.state_of("a") is SERVING

        run(story())

    def test_host_keeps_a_model_visible_between_two_versions(self) -> None:
        async def story() -> None:
            host = await host_of(a=Loadable())
            host.set_pending([ModelStatus("a", LOADING, 2)])
            host.unload("a")
            await host.drain_unloaded()
            assert [model.id for model in host.info().models] == ["a"]
            with pytest.raises(UnloadedError, match="still to be loaded"):
                await host.assemble("a", [])
            host.set_pending([ModelStatus("a", FAILED, 2, "no")])
            assert host.info().models == ()
            with pytest.raises(RefusedError):
                await host.assemble("a", [])

        run(story())

    def test_host_forgets_a_model_that_is_no_longer_pending(self) -> None:
        async def story() -> None:
            host = await host_of(a=Loadable())
            host.unload("a")
            await host.drain_unloaded()
            host.set_pending([])
            host.set_pending([ModelStatus("a", LOADING, 2)])
            assert host.info().models == ()

        run(story())

    def test_host_lists_the_better_of_two_states_first(self) -> None:
        async def story() -> None:
            host = await host_of(a=Loadable())
            host.set_pending([ModelStatus("a", FAILED, 2, "no")])
            assert host.models() == [
                ModelStatus("a", SERVING, 1),
                ModelStatus("a", FAILED, 2, "no"),
            ]
            assert host.state_of("a") is SERVING

        run(story())
