"""LoRA adapters in the host and the reconciler, in virtual time."""

import asyncio

import pytest

from axon.directory.workers import ModelState, ModelStatus
from tests.support.virtual_time import run
from tests.unit.worker.models.engine_stub import Adaptable, Loadable, a_request, counted, text
from tests.unit.worker.models.host_harness import ModelsHarness, running_harness
from worker.engines.protocol import EngineError, RefusedError, UnloadedError
from worker.models.host import ModelHost

SERVING, LOADING, FAILED = ModelState.SERVING, ModelState.LOADING, ModelState.FAILED
ADAPTER = {"adapter_of": "base", "model_uri": "s3://one"}


async def host_of(engine: Loadable) -> ModelHost:
    host = ModelHost(slots=4, stop_timeout_s=20.0)
    await host.load("base", 1, engine)
    return host


def base(harness: ModelsHarness, version: int) -> Adaptable:
    return harness.engines["base", version]


class TestHostAdapters:
    def test_host_serves_an_adapter_by_its_bases_engine(self) -> None:
        async def story() -> None:
            engine = Adaptable()
            host = await host_of(engine)
            await host.load_adapter("pirate", 2, base="base", uri="s3://one")
            for name in ("base", "pirate"):
                assert await text(host, name) == counted(10)
            assert engine.asked == ["inner", "pirate"]
            assert host.versions() == {"base": 1, "pirate": 2}
            assert host.models() == [
                ModelStatus("base", SERVING, 1),
                ModelStatus("pirate", SERVING, 2),
            ]

        run(story())

    def test_host_swaps_an_adapter_for_another_version(self) -> None:
        async def story() -> None:
            engine = Adaptable()
            host = await host_of(engine)
            for version, uri in enumerate(("s3://one", "s3://two")):
                await host.load_adapter("pirate", version, base="base", uri=uri)
                await host.drain_unloaded()
            assert engine.adapters == {"pirate": "s3://two"}
            assert host.versions() == {"base": 1, "pirate": 1}

        run(story())

    def test_host_unloads_an_adapter_alone(self) -> None:
        async def story() -> None:
            engine = Adaptable()
            host = await host_of(engine)
            await host.load_adapter("pirate", 2, base="base", uri="s3://one")
            late = await a_request(host, "pirate")
            host.unload("pirate")
            await host.drain_unloaded()
            host.set_pending([])
            assert engine.adapters == {}
            assert host.versions() == {"base": 1}
            with pytest.raises(UnloadedError):
                [chunk async for chunk in host.generate(late)]
            with pytest.raises(RefusedError):
                await host.assemble("pirate", [])

        run(story())

    def test_host_moves_an_adapter_and_serves_its_name_as_a_model(self) -> None:
        async def story() -> None:
            first, second, own = Adaptable(), Adaptable(), Loadable()
            host = await host_of(first)
            await host.load("other", 2, second)
            await host.load_adapter("pirate", 3, base="base", uri="s3://one")
            await host.load_adapter("pirate", 4, base="other", uri="s3://one")
            await host.drain_unloaded()
            assert (first.adapters, second.adapters) == ({}, {"pirate": "s3://one"})
            await host.load("pirate", 5, own)
            await host.drain_unloaded()
            assert second.adapters == {}
            await host.load_adapter("pirate", 6, base="base", uri="s3://one")
            await host.drain_unloaded()
            assert own.closed == 1
            assert host.versions() == {"base": 1, "other": 2, "pirate": 6}

        run(story())

    def test_host_says_why_an_adapter_cannot_be_loaded(self) -> None:
        async def story() -> None:
            host = await host_of(Loadable())
            with pytest.raises(EngineError, match="takes no adapters"):
                await host.load_adapter("pirate", 2, base="base", uri="s3://one")
            with pytest.raises(EngineError, match="'other' is not served here"):
                await host.load_adapter("pirate", 2, base="other", uri="s3://one")

        run(story())


class TestReconciling:
    def test_reconciler_loads_adapters_after_their_base_and_again_with_it(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                await harness.desired.put("pirate", ADAPTER)
                await harness.set_model("base", {})
                await asyncio.sleep(1.5)
                assert harness.states() == [
                    ("base", SERVING, 2), ("own", SERVING, 0), ("pirate", SERVING, 1),
                ]  # fmt: skip
                assert harness.loads == [(0.0, "base", 2)]
                await harness.set_model("base", {})
                await asyncio.sleep(1.5)
                assert base(harness, 3).adapters == {"pirate": "s3://one"}
                assert await text(harness.host, "pirate") == counted(10)

        run(story())

    def test_reconciler_keeps_an_adapter_visible_while_its_base_is_swapped_in_place(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                await harness.desired.put("pirate", ADAPTER)
                await harness.set_model("base", {})
                await asyncio.sleep(1.5)
                await harness.set_model("base", {"in_place": True})
                await asyncio.sleep(0.5)
                assert harness.host.state_of("pirate") is LOADING
                assert await harness.host.ready("pirate")
                assert base(harness, 3).adapters == {"pirate": "s3://one"}

        run(story())

    def test_reconciler_fails_an_adapter_without_its_base(self) -> None:
        async def story() -> None:
            async with running_harness() as harness:
                await harness.set_model("pirate", ADAPTER)
                await asyncio.sleep(1)
                reason = "adapter_of: the model 'base' is not served here"
                assert ModelStatus("pirate", FAILED, 1, reason) in harness.host.models()
                await harness.set_model("pirate", {**ADAPTER, "adapter_of": ""})
                await asyncio.sleep(1)
                reason = "adapter_of: must be the name of another model"
                assert ModelStatus("pirate", FAILED, 2, reason) in harness.host.models()

        run(story())
