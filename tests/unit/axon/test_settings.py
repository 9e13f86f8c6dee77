import os
import socket

import pytest
from pydantic import ValidationError

from axon.deadlines import Deadlines
from axon.engine_settings import EngineSettings
from axon.exceptions import SettingsError
from axon.settings import (
    EndpointSettings,
    EventLogSettings,
    ExpireSettings,
    FrontSettings,
    RespondSettings,
    ValkeySettings,
    WorkerSettings,
)

WORKER = {
    "AXON_VALKEY_URL": "redis://127.0.0.1:1/0",
    "AXON_POSTGRES_DSN": "postgresql://",
    "AXON_JOBS_QUEUE_URL": "http://127.0.0.1/jobs",
    "AXON_HISTORY_QUEUE_URL": "http://127.0.0.1/history.fifo",
}


def test_settings_come_from_variables_and_defaults() -> None:
    settings = WorkerSettings.from_environ(WORKER | {"AXON_SLOTS": "3", "AXON_ENGINE": "smollm2"})
    assert settings.valkey_url == "redis://127.0.0.1:1/0"
    assert settings.slots == 3
    assert settings.engine == "smollm2"
    assert settings.visibility_timeout_s == 30
    assert settings.worker_id == f"{socket.gethostname()}-{os.getpid()}"


def test_settings_read_the_deadline_under_its_name_of_the_version_before() -> None:
    old = {"AXON_VALKEY_URL": "redis://x", "AXON_RESPONSE_DEADLINE_S": "75"}
    assert EventLogSettings.from_environ(old).deadlines == Deadlines(queue_s=75)
    both = old | {"AXON_QUEUE_DEADLINE_S": "80", "AXON_HARD_LIMIT_S": "3600"}
    assert EventLogSettings.from_environ(both).deadlines == Deadlines(queue_s=80, hard_limit_s=3600)


def test_settings_treat_an_empty_variable_as_unset() -> None:
    settings = EventLogSettings.from_environ({"AXON_VALKEY_URL": "x", "AXON_RETENTION_S": ""})
    assert settings.retention_s == 300


def test_settings_of_retention_are_days_or_none_at_all() -> None:
    environ = {"AXON_POSTGRES_DSN": "postgresql://"}
    assert ExpireSettings.from_environ(environ).retention_days == 30
    assert ExpireSettings.from_environ(environ | {"AXON_RETENTION_DAYS": "0"}).retention_days == 0
    with pytest.raises(SettingsError, match="AXON_RETENTION_DAYS"):
        ExpireSettings.from_environ(environ | {"AXON_RETENTION_DAYS": "-1"})


@pytest.mark.parametrize(
    ("environ", "region"),
    [
        ({}, "us-east-1"),
        ({"AWS_REGION": "eu-central-1"}, "eu-central-1"),
        ({"AWS_REGION": "eu-central-1", "AXON_AWS_REGION": "eu-west-1"}, "eu-west-1"),
    ],
)
def test_settings_find_the_region(environ: dict[str, str], region: str) -> None:
    settings = ValkeySettings.from_environ({"AXON_VALKEY_URL": "x"} | environ)
    assert settings.aws_region == region


def test_settings_name_every_missing_variable_in_one_line() -> None:
    with pytest.raises(SettingsError) as caught:
        RespondSettings.from_environ({})
    message = str(caught.value)
    for name in ("AXON_VALKEY_URL", "AXON_JOBS_QUEUE_URL", "AXON_HISTORY_QUEUE_URL"):
        assert f"{name}: Field required" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AXON_SLOTS", "0"),
        ("AXON_SLOTS", "many"),
        ("AXON_ENGINE", "gpt"),
        ("AXON_LOG_LEVEL", "LOUD"),
        ("AXON_HEALTH_PORT", "65536"),
        ("AXON_RETENTION_S", "0"),
        ("AXON_ECHO_TTFT_MS", "-1"),
        ("AXON_VISIBILITY_TIMEOUT_S", "1"),
        ("AXON_UPSTREAM_URL", "127.0.0.1:11434"),
        ("AXON_UPSTREAM_URL", "http://me:secret@host/v1"),
        ("AXON_UPSTREAM_KIND", "ollama"),
        ("AXON_UPSTREAM_CONTEXT_WINDOW", "0"),
        ("AXON_UPSTREAM_TOKEN_TIMEOUT_S", "0"),
        ("AXON_UPSTREAM_RETRIES", "-1"),
        ("AXON_MAX_RECEIVES", "0"),
        ("AXON_PREFETCH", "-1"),
        ("AXON_QUEUE_RETRIEVE", "0"),
        ("AXON_QUEUE_ASSEMBLE", "0"),
        ("AXON_QUEUE_INFER", "0"),
        ("AXON_QUEUE_POST", "0"),
        ("AXON_QUEUE_STREAM", "0"),
    ],
)
def test_settings_name_an_invalid_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        WorkerSettings.from_environ(WORKER | {name: value})


def test_engine_settings_describe_an_upstream() -> None:
    variables = {
        "AXON_UPSTREAM_URL": "http://127.0.0.1:11434/v1/",
        "AXON_UPSTREAM_API_KEY": "sk-secret",
        "AXON_UPSTREAM_MODELS": "a, b",
    }
    settings = WorkerSettings.from_environ(WORKER | variables)
    assert settings.upstream_url == "http://127.0.0.1:11434/v1"
    assert settings.upstream_models == ("a", "b")
    assert "sk-secret" not in repr(settings)


def test_settings_are_immutable() -> None:
    settings = ValkeySettings.from_environ({"AXON_VALKEY_URL": "x"})
    with pytest.raises(ValidationError):
        settings.valkey_url = "y"  # type: ignore[misc]


def test_vllm_settings_read_lora_adapters_and_arguments_as_json() -> None:
    settings = WorkerSettings.from_environ(
        WORKER
        | {
            "AXON_ENABLE_LORA": "true",
            "AXON_MAX_LORA_RANK": "32",
            "AXON_LORA_ADAPTERS": '{"pirate": "s3://models/pirate"}',
            "AXON_VLLM_ARGUMENTS": '{"seed": 5}',
        }
    )
    assert settings.lora_adapters == {"pirate": "s3://models/pirate"}
    assert settings.vllm_arguments == {"seed": 5}
    assert settings.max_lora_rank == 32


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"AXON_LORA_ADAPTERS": '{"a": "s3://b/a"}'}, "LORA_ADAPTERS: .*AXON_ENABLE_LORA=true"),
        (
            {
                "AXON_ENABLE_LORA": "true",
                "AXON_LORA_ADAPTERS": '{"llama": "s3://b/a"}',
                "AXON_MODEL_NAME": "llama",
            },
            "LORA_ADAPTERS: .*'llama' is the name of the model itself",
        ),
        ({"AXON_VLLM_ARGUMENTS": "seed=5"}, "VLLM_ARGUMENTS: .*must be a JSON object"),
        ({"AXON_VLLM_ARGUMENTS": "[5]"}, "VLLM_ARGUMENTS: "),
        ({"AXON_MAX_LORA_RANK": "17"}, "MAX_LORA_RANK: "),
        ({"AXON_GPU_MEMORY_UTILIZATION": "1.5"}, "GPU_MEMORY_UTILIZATION: "),
        ({"AXON_SCHEDULING_POLICY": "random"}, "SCHEDULING_POLICY: "),
    ],
)
def test_vllm_settings_name_an_invalid_variable(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=f"AXON_{message}"):
        WorkerSettings.from_environ(WORKER | environ)


RESPOND = WORKER
"""Variables that functions/respond needs: the same."""


def test_respond_settings_read_aliases_as_json() -> None:
    environ = RESPOND | {
        "AXON_MODELS": "a,b",
        "AXON_MODEL_ALIASES": '{"default": {"a": 90, "b": 10}, "next": {"b": 0.5, "a": 0}}',
    }
    settings = RespondSettings.from_environ(environ)
    assert settings.model_aliases == {"default": {"a": 90, "b": 10}, "next": {"b": 0.5, "a": 0}}
    assert RespondSettings.from_environ(RESPOND).model_aliases == {}


@pytest.mark.parametrize(
    ("aliases", "message"),
    [
        ("default=a", ": .*must be a JSON object"),
        ('["a"]', ": .*valid dictionary"),
        ('{"default": "a"}', r"\.default: .*valid dictionary"),
        ('{"default": {}}', ": .*'default' stands for nothing: give a model a weight above 0"),
        ('{"default": {"a": 0, "b": 0}}', ": .*'default' stands for nothing"),
        ('{"default": {"a": 1, "b": -1}}', r"\.default\.b: .*greater than or equal to 0"),
        ('{"default": {"a": NaN}}', r"\.default\.a: .*finite"),
        ('{"default": {"a": Infinity}}', r"\.default\.a: .*finite"),
        ('{"default": {"a": 1e999}}', r"\.default\.a: .*finite"),
        ('{"default": {"a": "90"}}', r"\.default\.a: .*valid number"),
        ('{"default": {"a": true}}', r"\.default\.a: .*valid number"),
        ('{"default": {"": 1}}', r"\.default\.+\[key\]: .*at least 1 character"),
        ('{"": {"a": 1}}', r"\.+\[key\]: .*at least 1 character"),
        ('{"a": {"a": 1}}', ": .*'a' names 'a', which is an alias: name a model"),
        ('{"x": {"y": 1}, "y": {"a": 1}}', ": .*'x' names 'y', which is an alias"),
        ('{"x": {"a": 1}, "x": {"b": 1}}', ": .*'x' is there twice"),
        ('{"x": {"a": 1, "a": 2}}', ": .*'a' is there twice"),
        ('{"own": {"a": 1}}', ": .*'own' is the name of a model: choose another alias"),
    ],
)
def test_respond_settings_name_invalid_aliases(aliases: str, message: str) -> None:
    environ = RESPOND | {"AXON_MODELS": "own", "AXON_MODEL_ALIASES": aliases}
    with pytest.raises(SettingsError, match=f"^AXON_MODEL_ALIASES{message}"):
        RespondSettings.from_environ(environ)


def test_front_takes_longer_bodies_where_a_bucket_takes_them() -> None:
    def longest(**more: str) -> int:
        return FrontSettings.from_environ(WORKER | more).longest_body

    bucket = {"AXON_PAYLOAD_BUCKET": "axon-payloads"}
    assert longest() == 2 * 2**20
    assert longest(**bucket) == 20 * 2**20
    assert longest(AXON_MAX_BODY_BYTES="5", **bucket) == 5


def test_endpoint_settings_need_no_stores() -> None:
    settings = EndpointSettings.from_environ({"AXON_SLOTS": "3"})
    assert (settings.http_port, settings.slots) == (8080, 3)
    assert not any(field.is_required() for field in EndpointSettings.model_fields.values())


def test_endpoint_settings_share_engine_and_stages_with_the_worker() -> None:
    for name, field in EngineSettings.model_fields.items():
        assert WorkerSettings.model_fields[name].default == field.default
        assert EndpointSettings.model_fields[name].default == field.default


@pytest.mark.parametrize(
    ("environ", "port"),
    [
        ({"SAGEMAKER_BIND_TO_PORT": "8081"}, 8081),
        ({"SAGEMAKER_BIND_TO_PORT": ""}, 8080),
        ({"SAGEMAKER_BIND_TO_PORT": "8081", "AXON_HTTP_PORT": "9000"}, 9000),
    ],
)
def test_endpoint_settings_find_the_port(environ: dict[str, str], port: int) -> None:
    assert EndpointSettings.from_environ(environ).http_port == port


@pytest.mark.parametrize(
    ("name", "value"), [("AXON_HTTP_PORT", "0"), ("AXON_STREAM_TIMEOUT_S", "0")]
)
def test_endpoint_settings_name_an_invalid_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        EndpointSettings.from_environ({name: value})


@pytest.mark.parametrize("name", ["AXON_ENGINE_STALL_S", "AXON_ENGINE_START_TIMEOUT_S"])
def test_settings_of_a_hung_engine_are_positive_times(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        WorkerSettings.from_environ(WORKER | {name: "0"})
