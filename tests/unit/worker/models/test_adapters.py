"""LoRA adapters, which live as long as the engine that they were added to."""

import asyncio

import pytest

from axon.directory.workers import ModelState, ModelStatus
from tests.support.virtual_time import run
from tests.unit.worker.models.host_harness import Scene, a_scene
from tests.unit.worker.models.stub_engines import Adaptable, Loadable, a_request, counted, text
from worker.engines.protocol import EngineError, RefusedError, UnloadedError
from worker.models.host import ModelHost

SERVING, LOADING, FAILED = ModelState.SERVING, ModelState.LOADING, ModelState.FAILED
ADAPTER = {"adapter_of": "base", "model_uri": "s3://one"}


async def a_host(engine: Loadable) -> ModelHost:
    host = ModelHost(slots=4, stop_timeout_s=20.0)
    await host.load("base", 1, engine)
    return host


def base(scene: Scene, version: int) -> Adaptable:
    return scene.engines["base", version]


class TestHost:
    def test_an_adapter_is_a_model_of_its_bases_engine(self) -> None:
        async def story() -> None:
            engine = Adaptable()
            host = await a_host(engine)
            await host.adapt("pirate", 2, base="base", uri="s3://one")
            for name in ("base", "pirate"):
                assert await text(host, name) == counted(10)
            assert engine.asked == ["inner", "pirate"]
            assert host.versions() == {"base": 1, "pirate": 2}
            assert host.models() == [
                ModelStatus("base", SERVING, 1),
                ModelStatus("pirate", SERVING, 2),
            ]

        run(story())

    def test_another_version_takes_its_place(self) -> None:
        async def story() -> None:
            engine = Adaptable()
            host = await a_host(engine)
            for version, uri in enumerate(("s3://one", "s3://two")):
                await host.adapt("pirate", version, base="base", uri=uri)
                await host.settle()
            assert engine.adapters == {"pirate": "s3://two"}
            assert host.versions() == {"base": 1, "pirate": 1}

        run(story())

    def test_it_can_be_unloaded_alone(self) -> None:
        async def story() -> None:
            engine = Adaptable()
            host = await a_host(engine)
            await host.adapt("pirate", 2, base="base", uri="s3://one")
            late = await a_request(host, "pirate")
            host.unload("pirate")
            await host.settle()
            host.expect([])
            assert engine.adapters == {}
            assert host.versions() == {"base": 1}
            with pytest.raises(UnloadedError):
                [chunk async for chunk in host.generate(late)]
            with pytest.raises(RefusedError):
                await host.assemble("pirate", [])

        run(story())

    def test_it_can_move_and_become_a_model_of_its_own(self) -> None:
        async def story() -> None:
            first, second, own = Adaptable(), Adaptable(), Loadable()
            host = await a_host(first)
            await host.load("other", 2, second)
            await host.adapt("pirate", 3, base="base", uri="s3://one")
            await host.adapt("pirate", 4, base="other", uri="s3://one")
            await host.settle()
            assert (first.adapters, second.adapters) == ({}, {"pirate": "s3://one"})
            await host.load("pirate", 5, own)
            await host.settle()
            assert second.adapters == {}
            await host.adapt("pirate", 6, base="base", uri="s3://one")
            await host.settle()
            assert own.closed == 1
            assert host.versions() == {"base": 1, "other": 2, "pirate": 6}

        run(story())

    def test_where_it_cannot_be_added_the_error_says_why(self) -> None:
        async def story() -> None:
            host = await a_host(Loadable())
            with pytest.raises(EngineError, match="takes no adapters"):
                await host.adapt("pirate", 2, base="base", uri="s3://one")
            with pytest.raises(EngineError, match="'other' is not served here"):
                await host.adapt("pirate", 2, base="other", uri="s3://one")

        run(story())


class TestReconciling:
    def test_adapters_come_after_their_base_and_come_again_with_it(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                await scene.wanted.put("pirate", ADAPTER)
                await scene.say("base", {})
                await asyncio.sleep(1.5)
                assert scene.states() == [
                    ("base", SERVING, 2), ("own", SERVING, 0), ("pirate", SERVING, 1),
                ]  # fmt: skip
                assert scene.loads == [(0.0, "base", 2)]
                await scene.say("base", {})
                await asyncio.sleep(1.5)
                assert base(scene, 3).adapters == {"pirate": "s3://one"}
                assert await text(scene.host, "pirate") == counted(10)

        run(story())

    def test_it_waits_while_its_base_is_swapped_in_place(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                await scene.wanted.put("pirate", ADAPTER)
                await scene.say("base", {})
                await asyncio.sleep(1.5)
                await scene.say("base", {"in_place": True})
                await asyncio.sleep(0.5)
                assert scene.host.state_of("pirate") is LOADING
                assert await scene.host.ready("pirate")
                assert base(scene, 3).adapters == {"pirate": "s3://one"}

        run(story())

    def test_without_its_base_it_fails(self) -> None:
        async def story() -> None:
            async with a_scene() as scene:
                await scene.say("pirate", ADAPTER)
                await asyncio.sleep(1)
                reason = "adapter_of: the model 'base' is not served here"
                assert ModelStatus("pirate", FAILED, 1, reason) in scene.host.models()
                await scene.say("pirate", {**ADAPTER, "adapter_of": ""})
                await asyncio.sleep(1)
                reason = "adapter_of: must be the name of another model"
                assert ModelStatus("pirate", FAILED, 2, reason) in scene.host.models()

        run(story())
