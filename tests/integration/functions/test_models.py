import json
from types import ModuleType
from typing import Any

import pytest
import redis

from axon.adapters.valkey.directories import ValkeyModelDirectory
from axon.lambdas import run
from tests.integration.functions.conftest import FunctionsHarness

SETTINGS = {"engine": "vllm", "model_uri": "s3://models/llama", "max_model_len": 4096}
LOAD: dict[str, Any] = {"action": "load", "name": "llama", "settings": SETTINGS}
UNLOAD = {"action": "unload", "name": "llama"}
LIST = {"action": "list"}


@pytest.fixture
def models(harness: FunctionsHarness) -> ModuleType:
    return harness.load("models")


def announce(harness: FunctionsHarness, worker_id: str, *held: dict[str, Any]) -> None:
    """Enter a worker as it enters itself."""

    async def enter() -> None:
        expires = await harness.valkey.now_ms() + 15_000
        await harness.valkey.call("ZADD", "axon:workers", expires, worker_id)
        fields = ("slots", 8, "load", 0, "models", json.dumps(held))
        await harness.valkey.call("HSET", f"axon:worker:{worker_id}", *fields)

    run(enter())


def known(harness: FunctionsHarness) -> list[str]:
    return run(ValkeyModelDirectory(valkey=harness.valkey).list())


def test_models_function_loads_swaps_and_unloads(
    harness: FunctionsHarness, models: ModuleType
) -> None:
    with (
        redis.Redis.from_url(harness.variables["valkey_url"]) as client,
        client.pubsub() as subscription,
    ):
        subscription.subscribe("axon:models:changed")
        subscription.get_message(timeout=5)
        announce(harness, "w1")
        loaded = models.handler(LOAD, None)
        assert (loaded["told"], loaded["workers"]) == (True, ["w1"])
        message = subscription.get_message(timeout=5)
        assert message is not None
        assert message["type"] == "message"
    state = {"state": "serving", "version": loaded["model"]["version"], "reason": ""}
    announce(harness, "w1", {"name": "llama"} | state)
    listed = models.handler(LIST, None)
    assert listed["workers"] == ["w1"]
    echo, llama = listed["models"]
    assert (echo["name"], echo["version"]) == ("echo", 0)
    assert llama == loaded["model"] | {"serving": 1, "states": {"w1": state}}

    swapped = models.handler(LOAD | {"action": "swap", "in_place": True}, None)
    assert swapped["model"]["version"] > loaded["model"]["version"]
    assert swapped["model"]["wanted"] == SETTINGS | {"in_place": True}
    unloaded = models.handler(UNLOAD, None)
    assert unloaded["model"]["wanted"] is None
    assert unloaded["model"]["version"] > swapped["model"]["version"]


def test_models_function_makes_a_model_known_without_workers(
    harness: FunctionsHarness, models: ModuleType
) -> None:
    models.handler(LOAD, None)
    assert known(harness) == ["echo", "llama"]
    models.handler(UNLOAD, None)
    assert known(harness) == ["echo"]


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (LOAD | {"name": "echo"}, "model_exists"),
        (UNLOAD, "model_not_found"),
        (LOAD | {"settings": {"engine": "vllm"}}, "invalid_settings"),
        (LOAD | {"name": ""}, "invalid_request"),
    ],
)
def test_models_function_refuses_invalid_commands(
    models: ModuleType, event: dict[str, Any], code: str
) -> None:
    assert models.handler(event, None)["error"]["code"] == code


@pytest.mark.parametrize("event", [LIST, LOAD])
def test_models_function_answers_unavailable_without_a_database(
    harness: FunctionsHarness, event: dict[str, Any]
) -> None:
    models = harness.load("models", postgres_dsn="postgresql://127.0.0.1:1/none")
    models.ADMIN._desired._pool.timeout = 0.2
    assert models.handler(event, None)["error"]["code"] == "unavailable"
    assert known(harness) == ["echo"]


def test_models_function_logs_changes(models: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        models.handler(LOAD, None)
    (record,) = (vars(each) for each in caplog.records if each.message == "answered")
    assert (record["model"]["name"], record["told"]) == ("llama", True)
