import json
from typing import Any

import pytest

from axon.directory.workers import ModelState, ModelStatus, WorkerState
from axon.exceptions import UnavailableError
from axon.models.admin import ModelAdmin
from axon.models.commands import answer
from axon.testing.models import FakeModelChanges, FakeModelDirectory
from axon.testing.stores import FakeDesiredModels
from tests.unit.axon.models.worker_directory_stub import Workers, worker

SETTINGS = {"engine": "vllm", "model_uri": "s3://models/llama", "max_model_len": 4096}
LOAD: dict[str, Any] = {"action": "load", "name": "llama", "settings": SETTINGS}
SWAP = LOAD | {"action": "swap", "settings": {"engine": "echo"}}
UNLOAD = {"action": "unload", "name": "llama"}
LIST = {"action": "list"}
RETENTION_S = 1000


class ModelCommandsHarness:
    """The function's parts, in memory; two workers serve the deployment's model "own"."""

    def __init__(self) -> None:
        self.now = 0.0
        self.desired = FakeDesiredModels()
        self.changes = FakeModelChanges()
        self.workers = Workers()
        self.directory = FakeModelDirectory(clock=lambda: self.now)
        self._admin = ModelAdmin(
            desired=self.desired,
            changes=self.changes,
            workers=self.workers,
            directory=self.directory,
            retention_s=RETENTION_S,
            deployment=("own",),
        )

    async def begin(self) -> None:
        for worker_id in ("w1", "w2"):
            await self.workers.register(worker(worker_id, ("own", "serving", 0)))
        await self.directory.register(("own",), retention_s=RETENTION_S)

    async def ask(self, event: dict[str, Any]) -> dict[str, Any]:
        """Ask as Lambda does: JSON both ways."""
        answered = await answer(json.loads(json.dumps(event)), admin=self._admin)
        told: dict[str, Any] = json.loads(json.dumps(answered))
        return told

    async def model(self, name: str) -> dict[str, Any]:
        """Return the only model of this name in the list."""
        (found,) = (m for m in (await self.ask(LIST))["models"] if m["name"] == name)
        model: dict[str, Any] = found
        return model

    async def said(self) -> list[tuple[str, Any]]:
        return [(model.name, model.settings) for model in await self.desired.list()]


@pytest.fixture
async def harness() -> ModelCommandsHarness:
    harness = ModelCommandsHarness()
    await harness.begin()
    return harness


async def test_model_behind_an_upstream_is_served_under_the_upstreams_names(
    harness: ModelCommandsHarness,
) -> None:
    await harness.ask(LOAD)
    for worker_id in ("w1", "w2"):
        held = [ModelStatus(n, ModelState.SERVING, 1, declared="llama") for n in ("b", "a")]
        await harness.workers.register(WorkerState(worker_id, slots=8, load=0, models=held))
    models = {model["name"]: model for model in (await harness.ask({"action": "list"}))["models"]}
    llama = models["llama"]
    assert (llama["serving"], llama["workers"], llama["served_as"]) == (2, 2, ["a", "b"])
    assert {(each["state"], each["version"]) for each in llama["states"].values()} == {
        ("serving", 1)
    }
    assert (models["a"]["serving"], "served_as" in models["a"]) == (2, False)


class TestLoadModel:
    async def test_stores_the_settings_and_notifies_workers(
        self, harness: ModelCommandsHarness
    ) -> None:
        answered = await harness.ask(LOAD)
        assert answered == {
            "model": {
                "name": "llama",
                "wanted": SETTINGS,
                "version": 1,
                "serving": 0,
                "workers": 2,
                "states": {},
            },
            "workers": ["w1", "w2"],
            "told": True,
        }
        assert await harness.said() == [("llama", SETTINGS)]
        assert harness.changes.published == 1

    async def test_leaves_the_model_unknown_until_a_worker_serves_it(
        self, harness: ModelCommandsHarness
    ) -> None:
        await harness.ask(LOAD)
        assert await harness.directory.list() == ["own"]

    async def test_makes_the_model_known_where_no_worker_runs(
        self, harness: ModelCommandsHarness
    ) -> None:
        harness.workers.there.clear()
        assert (await harness.ask(LOAD))["workers"] == []
        assert await harness.directory.list() == ["llama", "own"]
        assert harness.directory.silence("llama") > RETENTION_S
        harness.now = RETENTION_S - 1
        assert "llama" in await harness.directory.list()

    @pytest.mark.parametrize("in_place", [True, False])
    async def test_keeps_in_place_with_the_settings(
        self, harness: ModelCommandsHarness, in_place: bool
    ) -> None:
        answered = await harness.ask(LOAD | {"in_place": in_place})
        kept = SETTINGS | ({"in_place": True} if in_place else {})
        assert answered["model"]["wanted"] == kept
        assert await harness.said() == [("llama", kept)]

    @pytest.mark.parametrize("name", ["own", "llama", "loading", "asleep"])
    async def test_refuses_a_model_that_exists(
        self, harness: ModelCommandsHarness, name: str
    ) -> None:
        await harness.ask(LOAD)
        await harness.workers.register(worker("w2", ("loading", "loading", 0)))
        await harness.directory.expect(("asleep",), retention_s=1)
        before = await harness.said()
        answered = await harness.ask(LOAD | {"name": name})
        message = f"{name} is served or wanted already; swap it for one with other settings"
        assert answered == {"error": {"code": "model_exists", "message": message}}
        assert await harness.said() == before
        assert harness.changes.published == 1

    async def test_loads_an_unloaded_model_again(self, harness: ModelCommandsHarness) -> None:
        await harness.ask(UNLOAD | {"name": "own"})
        # The workers have not been notified yet.
        assert "error" not in await harness.ask(LOAD | {"name": "own"})

    async def test_refuses_the_deployments_model_while_its_first_worker_starts(
        self, harness: ModelCommandsHarness
    ) -> None:
        harness.workers.there.clear()
        await harness.directory.remove(("own",))
        assert (await harness.ask(LOAD | {"name": "own"}))["error"]["code"] == "model_exists"
        assert (await harness.ask(LOAD))["model"]["version"] == 1
        # Requests for the other one are accepted, and wait for the same worker.
        assert await harness.directory.list() == ["llama"]
        assert [model["name"] for model in (await harness.ask(LIST))["models"]] == ["llama", "own"]


class TestSwapModel:
    @pytest.mark.parametrize("name", ["own", "llama"])
    async def test_changes_a_model_that_exists(
        self, harness: ModelCommandsHarness, name: str
    ) -> None:
        await harness.ask(LOAD)
        answered = await harness.ask(SWAP | {"name": name, "in_place": True})
        assert answered["model"]["wanted"] == {"engine": "echo", "in_place": True}
        assert answered["model"]["version"] == 2
        assert harness.changes.published == 2

    async def test_refuses_a_model_that_does_not_exist(self, harness: ModelCommandsHarness) -> None:
        refused = {"code": "model_not_found", "message": "nobody wants or serves llama; load it"}
        assert await harness.ask(SWAP) == {"error": refused}
        await harness.ask(LOAD)
        await harness.ask(UNLOAD)
        assert await harness.ask(SWAP) == {"error": refused}

    async def test_keeps_the_model_known_where_no_worker_runs(
        self, harness: ModelCommandsHarness
    ) -> None:
        harness.workers.there.clear()
        harness.now = RETENTION_S / 2
        await harness.ask(SWAP | {"name": "own"})
        harness.now = RETENTION_S + 1
        assert await harness.directory.list() == ["own"]


class TestUnloadModel:
    @pytest.mark.parametrize("name", ["own", "llama"])
    async def test_makes_the_model_unknown(self, harness: ModelCommandsHarness, name: str) -> None:
        await harness.ask(LOAD)
        await harness.directory.register(("llama",), retention_s=1)
        answered = await harness.ask(UNLOAD | {"name": name})
        assert answered["model"]["wanted"] is None
        assert answered["told"] is True
        assert name not in await harness.directory.list()
        assert harness.changes.published == 2

    async def test_refuses_a_model_that_does_not_exist(self, harness: ModelCommandsHarness) -> None:
        message = "nobody wants or serves llama; there is nothing to unload"
        refused = {"error": {"code": "model_not_found", "message": message}}
        assert await harness.ask(UNLOAD) == refused
        await harness.ask(LOAD)
        assert "error" not in await harness.ask(UNLOAD)
        assert await harness.ask(UNLOAD) == refused


class TestListModels:
    async def test_shows_models_of_the_deployment(self, harness: ModelCommandsHarness) -> None:
        state = {"state": "serving", "version": 0, "reason": ""}
        assert await harness.ask(LIST) == {
            "models": [
                {
                    "name": "own",
                    "wanted": None,
                    "version": 0,
                    "serving": 2,
                    "workers": 2,
                    "states": {"w1": state, "w2": state},
                }
            ],
            "workers": ["w1", "w2"],
        }

    async def test_shows_all_desired_loaded_and_known_models_by_name(
        self, harness: ModelCommandsHarness
    ) -> None:
        await harness.ask(LOAD)
        await harness.ask(UNLOAD)
        await harness.directory.expect(("asleep",), retention_s=1)
        await harness.workers.register(worker("w1", ("stray", "unloading", 4)))
        names = [model["name"] for model in (await harness.ask(LIST))["models"]]
        assert names == ["asleep", "llama", "own", "stray"]
        assert (await harness.model("llama"))["wanted"] is None
        assert (await harness.model("llama"))["version"] == 2

    async def test_shows_the_state_in_each_worker(self, harness: ModelCommandsHarness) -> None:
        await harness.ask(LOAD)
        await harness.workers.register(worker("w1", ("llama", "loading", 1)))
        await harness.workers.register(worker("w2", ("llama", "failed", 1)))
        model = await harness.model("llama")
        assert (model["serving"], model["workers"]) == (0, 2)
        assert model["states"] == {
            "w1": {"state": "loading", "version": 1, "reason": ""},
            "w2": {"state": "failed", "version": 1, "reason": "no memory"},
        }

    @pytest.mark.parametrize("turned", [False, True])
    async def test_shows_the_later_of_two_versions_in_a_worker(
        self, harness: ModelCommandsHarness, turned: bool
    ) -> None:
        """A swap that fails leaves the old one where it is."""
        held = [("own", "serving", 3), ("own", "failed", 5)]
        await harness.workers.register(worker("w1", *(held[::-1] if turned else held)))
        model = await harness.model("own")
        assert model["serving"] == 2
        assert model["states"]["w1"] == {"state": "failed", "version": 5, "reason": "no memory"}


@pytest.mark.parametrize(
    "name", ["a", "Qwen/Qwen2.5-7B-Instruct", "llama3.2:1b", "große Müllerin 🌍", "x" * 256]
)
async def test_command_accepts_valid_names(harness: ModelCommandsHarness, name: str) -> None:
    assert (await harness.ask(LOAD | {"name": name}))["model"]["name"] == name


@pytest.mark.parametrize(
    ("event", "said"),
    [
        *(
            (LOAD | {"name": name}, "name: ")
            for name in (
                *("", " ", " a", "a ", "a\n", "a\nb", "a\x00", "\x1b[2J", "a\u2028b", "a\u202eb"),
                *("x" * 257, 7, None),
            )
        ),
        (UNLOAD | {"name": ""}, "name: "),
        (LOAD | {"settings": None}, "settings: "),
        (LOAD | {"settings": "engine=echo"}, "settings: "),
        (LOAD | {"in_place": "perhaps"}, "in_place: "),
        (LOAD | {"secret": "x"}, "secret: Extra inputs are not permitted"),
        (UNLOAD | {"settings": {}}, "settings: Extra inputs are not permitted"),
        ({"action": "load", "name": "llama"}, "settings: Field required"),
        ({"action": "drop"}, "action: Input tag 'drop'"),
        ({}, "action: Unable to extract tag"),
    ],
)
async def test_command_is_refused_if_it_is_invalid(
    harness: ModelCommandsHarness, event: dict[str, Any], said: str
) -> None:
    answered = await harness.ask(event)
    assert set(answered) == {"error"}
    assert answered["error"]["code"] == "invalid_request"
    assert answered["error"]["message"].startswith(said)
    assert await harness.said() == []


@pytest.mark.parametrize("action", ["load", "swap"])
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "engine: must be said"),
        ({"engine": "gpt"}, "engine: Input should be"),
        ({"engine": "vllm"}, "model_uri: must be said for the engine vllm"),
        ({"engine": "openai"}, "upstream_url: must be said for the engine openai"),
        ({"engine": "echo", "in_place": True}, "in_place: no such setting"),
        ({"engine": "echo", "upstream_api_key": "k"}, "upstream_api_key: no such setting"),
        ({"engine": "echo", "slots": 0}, "slots: "),
        ({"engine": "openai", "upstream_url": "http://u:p@h/v1"}, "upstream_url: "),
        (SETTINGS | {"vllm_arguments": {"hf_token": "k"}}, "vllm_arguments: hf_token"),
    ],
)
async def test_command_is_refused_if_its_settings_are_invalid(
    harness: ModelCommandsHarness, action: str, settings: dict[str, Any], said: str
) -> None:
    name = {"load": "llama", "swap": "own"}[action]
    answered = await harness.ask({"action": action, "name": name, "settings": settings})
    assert answered["error"]["code"] == "invalid_settings"
    assert said in answered["error"]["message"]
    assert await harness.said() == []
    assert harness.changes.published == 0


@pytest.mark.parametrize("event", [LIST, LOAD, SWAP | {"name": "own"}, UNLOAD | {"name": "own"}])
async def test_command_answers_unavailable_without_a_database(
    harness: ModelCommandsHarness, event: dict[str, Any]
) -> None:
    harness.desired.fail_with = UnavailableError("PostgreSQL: away")
    error = {"code": "unavailable", "message": "PostgreSQL: away"}
    assert await harness.ask(event) == {"error": error}
    assert harness.changes.published == 0
    assert await harness.directory.list() == ["own"]


@pytest.mark.parametrize("event", [LOAD, SWAP | {"name": "own"}, UNLOAD | {"name": "own"}])
async def test_command_succeeds_if_only_the_notification_fails(
    harness: ModelCommandsHarness, event: dict[str, Any]
) -> None:
    harness.changes.fail_with = UnavailableError("Valkey: away")
    answered = await harness.ask(event)
    assert answered["told"] is False
    assert answered["model"]["version"] == 1
    assert [name for name, _ in await harness.said()] == [event["name"]]
