"""Several engines behind one, in virtual time."""

import asyncio

import pytest

from axon.directory.workers import ModelState, ModelStatus
from tests.support.virtual_time import now, run
from tests.unit.worker.models.stub_engines import Loadable, a_request, counted, text
from worker.engines.protocol import (
    EngineDeadError,
    EngineError,
    ModelInfo,
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


async def a_host(**engines: Loadable) -> ModelHost:
    host = ModelHost(slots=7, stop_timeout_s=STOP_S)
    for name, engine in engines.items():
        await host.load(name, 1, engine)
    return host


class TestServing:
    def test_each_model_is_asked_by_its_engines_own_name(self) -> None:
        async def story() -> None:
            a, b = Loadable(models=["inner-a"]), Loadable(models=["inner-b"])
            host = await a_host(a=a, b=b)
            assert await text(host, "a") == await text(host, "b", tokens=10) == counted(10)
            assert (a.asked, b.asked) == (["inner-a"], ["inner-b"])

        run(story())

    def test_an_engine_of_several_serves_them_under_their_own_names(self) -> None:
        async def story() -> None:
            engine = Loadable(models=["base", "pirate"])
            host = await a_host(x=engine)
            assert await text(host, "pirate") == counted(10)
            assert engine.asked == ["pirate"]
            with pytest.raises(RefusedError, match="'x'"):
                await text(host, "x")
            assert [held.name for held in host.models()] == ["base", "pirate"]
            assert host.versions() == {"x": 1}

        run(story())

    def test_a_declared_name_goes_before_an_engines_own(self) -> None:
        async def story() -> None:
            upstream, declared = Loadable(models=["x", "y"]), Loadable()
            host = await a_host(upstream=upstream, x=declared)
            await text(host, "x")
            assert declared.asked == ["inner"]
            assert sorted(model.id for model in host.info().models) == ["x", "y"]

        run(story())

    def test_all_models_and_the_workers_own_slots_are_told(self) -> None:
        async def story() -> None:
            host = await a_host(a=Loadable(), b=Loadable())
            assert host.info().slots == 7
            assert host.info().models == (ModelInfo("a", 500, 400), ModelInfo("b", 500, 400))

        run(story())

    def test_it_is_healthy_when_all_are(self) -> None:
        async def story() -> None:
            sick = Loadable()
            host = await a_host(a=Loadable(), b=sick)
            assert await host.health()
            sick.sick = True
            assert not await host.health()
            host.unload("b")
            assert await host.health()

        run(story())

    def test_what_nobody_serves_is_refused(self) -> None:
        async def story() -> None:
            host = await a_host(a=Loadable())
            request = await a_request(host, "a")
            host.unload("a")
            await host.settle()
            host.expect([])
            with pytest.raises(RefusedError, match="'a' is no longer served"):
                await host.assemble("a", [])
            with pytest.raises(UnloadedError):  # another worker may serve it
                [chunk async for chunk in host.generate(request)]

        run(story())

    def test_a_dead_engine_stays_dead(self) -> None:
        async def story() -> None:
            engine = Loadable()
            host = await a_host(a=engine)
            running = asyncio.create_task(text(host, "a"))
            await asyncio.sleep(1.5)
            await engine.close()
            with pytest.raises(EngineDeadError):
                await running

        run(story())

    def test_an_answer_can_be_aborted(self) -> None:
        async def story() -> None:
            host = await a_host(a=Loadable(), b=Loadable())
            running = asyncio.create_task(text(host, "b"))
            await asyncio.sleep(2.5)
            await host.abort("r-b-10")
            assert await running == counted(3)
            assert now() == pytest.approx(2.5)

        run(story())


class TestLeaving:
    def test_what_runs_ends_on_the_engine_that_has_begun_it(self) -> None:
        async def story() -> None:
            old, new = Loadable(), Loadable()
            host = await a_host(a=old)
            running = asyncio.create_task(text(host, "a"))
            await asyncio.sleep(2.5)
            await host.load("a", 2, new)
            settling = asyncio.create_task(host.settle())
            assert await text(host, "a", tokens=3) == counted(3)
            assert [(held.state, held.version) for held in host.models()] == [
                (SERVING, 2),
                (UNLOADING, 1),
            ]
            assert await running == counted(10)
            assert (len(old.asked), len(new.asked)) == (1, 1)
            await settling
            assert now() == pytest.approx(9.0)
            assert (old.closed, new.closed) == (1, 0)
            assert host.models() == [ModelStatus("a", SERVING, 2)]

        run(story())

    def test_a_prompt_is_generated_by_the_engine_that_rendered_it(self) -> None:
        async def story() -> None:
            old, new = Loadable(), Loadable()
            host = await a_host(a=old)
            request = await a_request(host, "a")
            await host.load("a", 2, new)
            assert [chunk async for chunk in host.generate(request)]
            assert (len(old.asked), len(new.asked)) == (1, 0)
            await host.settle()
            with pytest.raises(UnloadedError, match="Version 1 of the model 'a'"):
                [chunk async for chunk in host.generate(request)]
            assert (len(old.asked), len(new.asked)) == (1, 0)

        run(story())

    def test_what_does_not_end_in_time_is_left_to_another_attempt(self) -> None:
        async def story() -> None:
            engine = Loadable()
            host = await a_host(a=engine)
            request = await a_request(host, "a", tokens=100)
            texts = []

            async def read() -> None:
                async for chunk in host.generate(request):
                    texts.append(chunk.text)

            running = asyncio.create_task(read())
            await asyncio.sleep(0.5)
            host.unload("a")
            await host.settle()
            assert now() == pytest.approx(0.5 + STOP_S)
            assert engine.closed == 1
            with pytest.raises(UnloadedError):
                await running
            assert "".join(texts) == counted(21)

        run(story())

    def test_what_cannot_be_aborted_is_cut_by_closing(self) -> None:
        async def story() -> None:
            class Stubborn(Loadable):
                async def abort(self, request_id: str) -> None: ...

            host = await a_host(a=Stubborn())
            running = asyncio.create_task(text(host, "a", tokens=100))
            await asyncio.sleep(0.5)
            host.unload("a")
            await host.settle()
            with pytest.raises(UnloadedError):
                await running
            assert 20 < now() < 30

        run(story())

    @pytest.mark.parametrize("call", ["abort", "close"])
    def test_an_engine_that_cannot_leave_in_good_order_is_gone_all_the_same(
        self, call: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: object) -> None:
            raise EngineError("no")

        async def story() -> None:
            engine = Loadable()
            monkeypatch.setattr(engine, call, fail)
            host = await a_host(a=engine)
            running = asyncio.create_task(text(host, "a", tokens=100))
            await asyncio.sleep(0.5)
            host.unload("a")
            await host.settle()
            assert host.models() == []
            running.cancel()

        run(story())

    def test_an_engine_that_dies_while_it_leaves_ends_nothing(self) -> None:
        async def story() -> None:
            engine = Loadable()
            host = await a_host(a=engine)
            running = asyncio.create_task(text(host, "a"))
            await asyncio.sleep(0.5)
            host.unload("a")
            settling = asyncio.create_task(host.settle())
            await asyncio.sleep(0.5)
            await engine.close()
            with pytest.raises(UnloadedError):
                await running
            await settling

        run(story())

    def test_whoever_stops_reading_is_not_waited_for(self) -> None:
        async def story() -> None:
            host = await a_host(a=Loadable())
            running = asyncio.create_task(text(host, "a", tokens=100))
            await asyncio.sleep(0.5)
            host.unload("a")
            running.cancel()
            await host.settle()
            assert now() == pytest.approx(0.5)

        run(story())

    def test_closing_the_host_closes_all_and_is_the_end(self) -> None:
        async def story() -> None:
            engines = [Loadable() for _ in range(3)]
            host = await a_host(a=engines[0], b=engines[1])
            running = asyncio.create_task(text(host, "b"))
            await asyncio.sleep(0.5)
            await host.load("a", 2, engines[2])
            await host.close()
            assert [engine.closed for engine in engines] == [1, 1, 1]
            with pytest.raises(EngineDeadError):
                await running

        run(story())


class TestComing:
    def test_an_engine_that_does_not_start_is_closed(self) -> None:
        async def story() -> None:
            old, new = Loadable(), Loadable(error=OSError("no memory"))
            host = await a_host(a=old)
            with pytest.raises(OSError, match="no memory"):
                await host.load("a", 2, new)
            assert (old.closed, new.closed) == (0, 1)
            assert await text(host, "a") == counted(10)

        run(story())

    def test_who_waits_for_a_model_hears_when_it_is_served(self) -> None:
        async def story() -> None:
            host = await a_host()
            host.expect([ModelStatus("a", LOADING, 1)])
            waiting = asyncio.create_task(host.ready("a"))
            await host.load("a", 1, Loadable(load_s=5))
            assert await waiting
            assert now() == pytest.approx(5.0)
            assert await host.ready("a")

        run(story())

    def test_who_waits_for_a_model_hears_when_it_does_not_come(self) -> None:
        async def story() -> None:
            host = await a_host()
            assert not await host.ready("a")
            for end in ([ModelStatus("a", FAILED, 1, "no")], []):
                host.expect([ModelStatus("a", LOADING, 1)])
                waiting = asyncio.create_task(host.ready("a"))
                await asyncio.sleep(1)
                host.expect(end)
                assert not await waiting

        run(story())

    def test_any_model_may_come_until_it_is_known_which(self) -> None:
        async def story() -> None:
            host = await a_host(a=Loadable())
            assert host.state_of("b") is None
            host.expect(None)
            assert host.state_of("b") is LOADING
            waiting = asyncio.create_task(host.ready("b"))
            await asyncio.sleep(1)
            host.expect([])
            assert not await waiting
            assert host.state_of("a") is SERVING

        run(story())

    def test_a_model_whose_next_version_comes_is_not_refused_meanwhile(self) -> None:
        async def story() -> None:
            host = await a_host(a=Loadable())
            host.expect([ModelStatus("a", LOADING, 2)])
            host.unload("a")
            await host.settle()
            assert [model.id for model in host.info().models] == ["a"]
            with pytest.raises(UnloadedError, match="still to be loaded"):
                await host.assemble("a", [])
            host.expect([ModelStatus("a", FAILED, 2, "no")])
            assert host.info().models == ()
            with pytest.raises(RefusedError):
                await host.assemble("a", [])

        run(story())

    def test_a_model_that_comes_again_later_is_new(self) -> None:
        async def story() -> None:
            host = await a_host(a=Loadable())
            host.unload("a")
            await host.settle()
            host.expect([])
            host.expect([ModelStatus("a", LOADING, 2)])
            assert host.info().models == ()

        run(story())

    def test_the_better_of_two_states_comes_first(self) -> None:
        async def story() -> None:
            host = await a_host(a=Loadable())
            host.expect([ModelStatus("a", FAILED, 2, "no")])
            assert host.models() == [
                ModelStatus("a", SERVING, 1),
                ModelStatus("a", FAILED, 2, "no"),
            ]
            assert host.state_of("a") is SERVING

        run(story())
