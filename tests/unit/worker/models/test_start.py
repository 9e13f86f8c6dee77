import asyncio
from contextlib import AsyncExitStack

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from axon.engine_settings import EngineSettings
from axon.exceptions import SettingsError
from axon.models.desired import DesiredModel
from axon.testing.stores import FakeDesiredModels
from tests.support.virtual_time import run
from tests.unit.worker.models.engine_stub import Loadable
from tests.unit.worker.settings_samples import SETTINGS
from worker.engines.protocol import Engine, EngineError
from worker.factories import engine_of
from worker.models.host import ModelHost
from worker.models.metrics import ModelMetrics
from worker.models.start import create_reconciler, settings_of, stall_s_of, start_host

KEY = SecretStr("secret")
URL, ELSEWHERE = "http://upstream/v1", "http://elsewhere/v1"


def started(settings: EngineSettings, engine: Engine | None = None) -> tuple[ModelHost, list[str]]:
    """Return a host that was started and closed, and the names under which it served."""

    async def story() -> tuple[ModelHost, list[str]]:
        async with AsyncExitStack() as stack:
            host = await start_host(settings, stack, create=lambda s: engine or engine_of(s))
            assert await host.health()
            return host, [model.id for model in host.info().models]

    return run(story())


class TestStartHost:
    def test_start_host_names_the_model_by_its_engine_or_the_settings(self) -> None:
        assert started(SETTINGS)[1] == ["echo"]
        named = SETTINGS.model_copy(update={"model_name": "mine"})
        assert started(named)[1] == ["mine"]
        assert started(named, Loadable())[1] == ["mine"]
        assert started(SETTINGS, Loadable())[1] == ["inner"]

    def test_start_host_declares_an_engine_of_several_models_as_one(self) -> None:
        host, served = started(SETTINGS, Loadable(models=["a", "b"]))
        assert served == ["a", "b"]
        assert host.versions() == {"echo": 0}  # the engine's name in the settings

    def test_start_host_takes_the_workers_slots_and_is_closed_by_the_stack(self) -> None:
        engine = Loadable()
        host, _ = started(SETTINGS, engine)
        assert host.info().slots == SETTINGS.slots
        assert engine.closed == 1

    def test_start_host_raises_if_the_model_cannot_be_served(self) -> None:
        engine = Loadable(error=EngineError("no weights"))
        with pytest.raises(EngineError, match="no weights"):
            started(SETTINGS, engine)
        assert engine.closed == 1


class TestSettings:
    def test_settings_of_the_deployments_model_are_the_deployments(self) -> None:
        assert settings_of(DesiredModel("echo", {}, 0), deployment=SETTINGS) is SETTINGS

    def test_settings_of_another_model_are_its_own_and_the_workers_slots(self) -> None:
        deployment = SETTINGS.model_copy(update={"slots": 33, "model_uri": "s3://other"})
        said = {"engine": "echo", "echo_token_ms": 5, "in_place": True}
        settings = settings_of(DesiredModel("a", said, 1), deployment=deployment)
        assert (settings.model_name, settings.echo_token_ms) == ("a", 5)
        assert (settings.slots, settings.model_uri) == (33, None)
        said["slots"] = 2
        assert settings_of(DesiredModel("a", said, 1), deployment=deployment).slots == 2

    @pytest.mark.parametrize(
        ("own", "given"),
        [(None, KEY), (URL, KEY), (ELSEWHERE, None)],
        ids=["none", "same", "other"],
    )
    def test_settings_of_another_upstream_have_no_key_of_the_deployment(
        self, own: str | None, given: SecretStr | None
    ) -> None:
        deployment = SETTINGS.model_copy(
            update={"upstream_api_key": KEY, "upstream_url": own, "upstream_hosts": ("*",)}
        )
        said = {"engine": "openai", "upstream_url": URL}
        settings = settings_of(DesiredModel("a", said, 1), deployment=deployment)
        assert settings.upstream_api_key == given

    def test_settings_name_only_hosts_that_the_deployment_allows(self) -> None:
        said = DesiredModel("a", {"engine": "openai", "upstream_url": URL}, 1)
        with pytest.raises(SettingsError, match="AXON_UPSTREAM_HOSTS"):
            settings_of(said, deployment=SETTINGS)
        settings_of(said, deployment=SETTINGS.model_copy(update={"upstream_url": URL}))

    def test_settings_trust_what_the_deployment_trusts(self) -> None:
        said = DesiredModel("a", {"engine": "vllm", "model_uri": "/m"}, 1)
        for trusted in (False, True):
            names = ("trust_remote_code", "allow_pickled_weights", "allow_unverified_weights")
            trust = dict.fromkeys(names, trusted)
            settings = settings_of(said, deployment=SETTINGS.model_copy(update=trust))
            assert settings.model_dump(include=set(names)) == trust

    def test_settings_that_are_not_valid_are_refused(self) -> None:
        with pytest.raises(SettingsError, match="slots"):
            settings_of(DesiredModel("a", {"engine": "echo", "slots": 0}, 1), deployment=SETTINGS)


def test_create_reconciler_loads_models_beside_the_deployments() -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            host = await start_host(SETTINGS, stack, create=engine_of)
            desired, registry = FakeDesiredModels(), CollectorRegistry()
            await desired.put("a", {"engine": "echo"})
            await desired.put("b", {"engine": "echo", "in_place": True})
            running = asyncio.create_task(
                create_reconciler(
                    SETTINGS,
                    host=host,
                    create=engine_of,
                    desired=desired,
                    changed=asyncio.Event(),
                    metrics=ModelMetrics(registry=registry, models=host.models),
                ).run()
            )
            assert await host.ready("b")
            assert [model.id for model in host.info().models] == ["echo", "a", "b"]
            running.cancel()

    run(story())


def test_stall_of_an_upstream_is_longer_than_an_answer_may_be_silent() -> None:
    """Pauses that the upstream asks for, and one request after them."""
    upstream = {"upstream_url": URL, "upstream_first_token_timeout_s": 120}
    assert stall_s_of(SETTINGS.model_copy(update=upstream)) > 120 + 120
    assert stall_s_of(SETTINGS) == SETTINGS.engine_stall_s
