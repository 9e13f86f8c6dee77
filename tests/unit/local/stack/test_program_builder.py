import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from axon import catalog
from local.errors import LocalCloudError
from local.http.access import is_clients_host, is_local_page
from local.installation import FUNCTIONS
from local.ports import Ports
from local.stack import configurations, topology
from local.stack.addresses import Addresses
from local.stack.cloud import startup_tasks
from local.stack.folders import Folders
from local.stack.options import Options
from local.stack.program_builder import ProgramBuilder
from local.supervision.program import Program

OPTIONS = Options(engine="echo", port=8000, data=Path("data"), workers=2, relays=2, ephemeral=True)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(root=tmp_path, storage=tmp_path)
    folders.make()
    return folders


@pytest.fixture
def ports() -> Iterator[Ports]:
    with Ports() as ports:
        yield ports


@pytest.fixture
def addresses(folders: Folders, ports: Ports) -> Addresses:
    return Addresses.choose(ports=ports, folders=folders, client_port=8000, persistent=False)


def build(
    addresses: Addresses, folders: Folders, ports: Ports, environ: dict[str, str]
) -> dict[str, Program]:
    programs = ProgramBuilder(
        addresses=addresses, folders=folders, options=OPTIONS, ports=ports, environ=environ
    )
    return {program.name: program for program in programs.build()}


def test_program_builder_builds_servers_first(
    addresses: Addresses, folders: Folders, ports: Ports
) -> None:
    assert list(build(addresses, folders, ports, {})) == [
        *("valkey", "postgres", "fauxqs", "lambda", "gateway", "front"),
        *("relay-0", "relay-1", "worker-0", "worker-1"),
    ]


def test_gateway_listens_when_its_key_exists(
    addresses: Addresses, folders: Folders, ports: Ports
) -> None:
    """A client that connects earlier would get 401 for the well-known key."""
    gateway = build(addresses, folders, ports, {})["gateway"]
    assert gateway.after <= {task.name for task in startup_tasks(addresses)}
    assert "api-key" in gateway.after


def test_front_listens_where_the_gateway_forwards_to(
    addresses: Addresses, folders: Folders, ports: Ports
) -> None:
    programs = build(addresses, folders, ports, {})
    gateway = json.loads((folders.run / "gateway.json").read_text())
    front = programs["front"].environment
    assert front["AXON_HTTP_PORT"] == str(gateway["front_port"])
    assert (
        configurations.endpoints(addresses, OPTIONS)["front_url"]
        == f"http://127.0.0.1:{gateway['front_port']}/v1"
    )
    # Streams end at once at Ctrl-C: the gateway, which stops first, disconnects their clients.
    assert "front" in programs["gateway"].uses


def test_front_accepts_the_hosts_and_pages_that_the_gateway_accepts(
    addresses: Addresses, folders: Folders, ports: Ports
) -> None:
    options = replace(OPTIONS, allowed_hosts=("tunnel.example",))
    programs = ProgramBuilder(
        addresses=addresses, folders=folders, options=options, ports=ports, environ={}
    ).build()
    (front,) = (program.environment for program in programs if program.name == "front")
    hosts = front["AXON_ALLOWED_HOSTS"].split(",")
    assert hosts[-1] == "tunnel.example"
    assert all(is_clients_host(host, allowed=options.allowed_hosts) for host in hosts)
    origins = front["AXON_CORS_ORIGINS"].split(",")
    assert "http://localhost:*" in origins
    assert all(is_local_page(origin.replace("*", "3000")) for origin in origins)


def test_program_builder_passes_on_named_variables_only(
    addresses: Addresses, folders: Folders, ports: Ports
) -> None:
    environ = {
        "AXON_ECHO_TTFT_MS": "20",
        "AXON_SLOTS": "3",
        "AXON_LOG_LEVEL": "DEBUG",
        "AXON_VALKEY_URL": "redis://production",
        "AWS_PROFILE": "production",
        "AWS_ACCESS_KEY_ID": "production",
    }
    programs = build(addresses, folders, ports, environ)
    worker = programs["worker-1"].environment
    assert (worker["AXON_ECHO_TTFT_MS"], worker["AXON_SLOTS"]) == ("20", "3")
    assert worker["AXON_MAX_RECEIVES"] == str(catalog.JOBS.max_receives)
    assert worker["AXON_VALKEY_URL"] == addresses.valkey.url
    assert worker["AXON_LOG_LEVEL"] == programs["relay-0"].environment["AXON_LOG_LEVEL"] == "DEBUG"
    for program in programs.values():
        assert "production" not in "".join(program.environment.values())
    assert "AXON_ECHO_TTFT_MS" not in programs["relay-0"].environment


def test_program_builder_runs_vllm_with_its_interpreter(
    addresses: Addresses, folders: Folders, ports: Ports, tmp_path: Path
) -> None:
    options = replace(
        OPTIONS, engine="vllm", model=tmp_path / "llama", python=Path("/opt/vllm/bin/python")
    )
    environ = {"AXON_ENABLE_LORA": "true", "AXON_MODEL_NAME": "other"}
    programs = ProgramBuilder(
        addresses=addresses, folders=folders, options=options, ports=ports, environ=environ
    ).build()
    worker, relay = (
        next(program for program in programs if program.name == name)
        for name in ("worker-0", "relay-0")
    )
    assert worker.command == ("/opt/vllm/bin/python", "-m", "worker")
    assert worker.environment["AXON_MODEL_NAME"] == "llama"
    assert worker.environment["AXON_MODEL_URI"] == str(tmp_path / "llama")
    assert worker.environment["AXON_ENABLE_LORA"] == "true"
    (imported,) = worker.environment["PYTHONPATH"].split(":")
    assert sorted(path.name for path in Path(imported).iterdir()) == ["axon", "worker"]
    assert worker.ready_within_s > relay.ready_within_s
    assert relay.command[0] == sys.executable


def test_program_builder_gives_each_program_its_name_and_health_port(
    addresses: Addresses, folders: Folders, ports: Ports
) -> None:
    programs = build(addresses, folders, ports, {})
    services = [programs[name].environment for name in ("relay-0", "relay-1", "worker-0", "front")]
    assert len({service["AXON_HEALTH_PORT"] for service in services}) == 4
    assert [service["AXON_RELAY_ID"] for service in services[:2]] == ["relay-0", "relay-1"]


def test_function_configuration_has_only_the_variables_it_needs(addresses: Addresses) -> None:
    functions = configurations.lambda_service(addresses, {})["functions"]
    assert isinstance(functions, dict)
    quiet = configurations.QUIET
    assert functions["connect"]["environment"].keys() == {"AXON_VALKEY_URL", *quiet}
    assert functions["migrate"]["environment"].keys() == {"AXON_POSTGRES_DSN", *quiet}
    assert "AXON_JOBS_QUEUE_URL" in functions["respond"]["environment"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("AXON_MODEL_ALIASES", '{"default": {"echo": 1}}'), ("AXON_IGNORED_TOOLS", "web_search")],
)
def test_program_builder_passes_settings_of_requests_to_what_accepts_them_only(
    addresses: Addresses, folders: Folders, ports: Ports, name: str, value: str
) -> None:
    programs = build(addresses, folders, ports, {name: value})
    assert programs["front"].environment[name] == value
    written = json.loads((folders.run / "lambda.json").read_text())["functions"]
    assert written["respond"]["environment"][name] == value
    assert name not in written["connect"]["environment"]


@pytest.mark.parametrize(
    ("change", "environ", "models"),
    [
        ({}, {}, "echo"),
        ({"engine": "smollm2"}, {}, "smollm2-135m-instruct"),
        (
            {"engine": "vllm", "model": Path("models/llama")},
            {"AXON_ENABLE_LORA": "true", "AXON_LORA_ADAPTERS": '{"pirate": "models/pirate"}'},
            "llama,pirate",
        ),
    ],
)
def test_functions_know_the_workers_own_models_before_a_worker_runs(
    addresses: Addresses,
    folders: Folders,
    ports: Ports,
    change: dict[str, Any],
    environ: dict[str, str],
    models: str,
) -> None:
    """Else a request for a model that is being loaded is refused as `server_overloaded`."""
    options = replace(OPTIONS, **change)
    programs = ProgramBuilder(
        addresses=addresses, folders=folders, options=options, ports=ports, environ=environ
    ).build()
    (front,) = (program for program in programs if program.name == "front")
    written = json.loads((folders.run / "lambda.json").read_text())["functions"]
    assert written["respond"]["environment"]["AXON_MODELS"] == models
    assert written["models"]["environment"]["AXON_MODELS"] == models
    assert front.environment["AXON_MODELS"] == models
    assert "AXON_MODELS" not in written["connect"]["environment"]


def test_program_builder_refuses_a_setting_that_a_function_would_refuse(
    addresses: Addresses, folders: Folders, ports: Ports
) -> None:
    wrong = {"AXON_MODEL_ALIASES": '{"default": {"echo": -1}}'}
    with pytest.raises(LocalCloudError, match=r"^AXON_MODEL_ALIASES\.default\.echo: "):
        build(addresses, folders, ports, wrong)


def test_function_limits_are_those_of_the_catalog(addresses: Addresses) -> None:
    functions = configurations.lambda_service(addresses, {})["functions"]
    assert isinstance(functions, dict)
    limits = {name: (each["timeout_s"], each["memory_mb"]) for name, each in functions.items()}
    assert limits == {
        name: (each.timeout_s, each.memory_mb) for name, each in catalog.FUNCTIONS.items()
    }
    assert functions["respond"]["min_environments"] > 0


def test_event_sources_are_those_of_the_catalog() -> None:
    assert [
        (queue.name, function, batch_size) for queue, function, batch_size in topology.EVENT_SOURCES
    ] == [(each.queue, each.function, each.batch_size) for each in catalog.EVENT_SOURCES]


def test_schedules_are_those_of_the_catalog(addresses: Addresses) -> None:
    assert configurations.lambda_service(addresses, {})["schedules"] == [
        {"function": each.function, "every_s": 60 * each.minutes} for each in catalog.SCHEDULES
    ]


def test_function_has_a_handler(addresses: Addresses) -> None:
    for name in topology.FUNCTIONS:
        assert (FUNCTIONS / name / "handler.py").is_file()


def test_queue_visibility_timeout_covers_the_function_timeout() -> None:
    for queue, function, _ in topology.EVENT_SOURCES:
        assert topology.FUNCTIONS[function].timeout_s <= queue.visibility_s


def test_configuration_files_are_readable_by_their_owner_only(
    addresses: Addresses, folders: Folders, ports: Ports
) -> None:
    build(addresses, folders, ports, {})
    for name in ("gateway", "lambda"):
        assert (folders.run / f"{name}.json").stat().st_mode & 0o777 == 0o600
    gateway = json.loads((folders.run / "gateway.json").read_text())
    assert gateway["routes"]["response.create"] == {"function": "respond", "route_response": True}


def test_endpoints_hold_the_addresses_for_commands(addresses: Addresses) -> None:
    endpoints = configurations.endpoints(addresses, OPTIONS)
    assert endpoints["base_url"] == "http://127.0.0.1:8000/v1"
    assert endpoints["model"] == "echo"
    assert endpoints["api_key"] == "sk-axon-local"
