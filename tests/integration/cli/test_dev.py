"""`axon dev` as a person uses it, with the echo engine."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from local.ports import LOOPBACK, Ports
from local.supervision.leftovers import owned
from tests.integration.local.supervision.supervisor_harness import alive
from tests.support.eventually import wait_until

pytestmark = pytest.mark.timeout(240)

READY_WITHIN_S = 120.0
NAMES = ("valkey", "postgres", "fauxqs", "lambda", "gateway", "front", "relay-0", "worker-0")


class DevHarness:
    """A running `axon dev` and the other commands on its data folder."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self._output = data.with_suffix(".output")
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                axon("dev", "--engine", "echo", "--data", str(data), *arguments),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_until_ready(self) -> None:
        def ready_or_dead() -> bool:
            assert self.process.poll() is None, self.output
            return (self.data / "run" / "endpoints.json").exists()

        wait_until(ready_or_dead, timeout_s=READY_WITHIN_S)

    def pid(self, name: str) -> int:
        return int((self.data / "run" / f"{name}.pid").read_text())

    def run(self, *arguments: str, said: str = "") -> "subprocess.CompletedProcess[str]":
        command = axon(*arguments, "--data", str(self.data))
        return subprocess.run(command, input=said, capture_output=True, text=True, timeout=60)

    def nothing_is_left(self) -> None:
        wait_until(lambda: not owned(str(self.data / "run")))


def axon(*arguments: str) -> list[str]:
    return [
        sys.executable,
        "-c",
        "import sys; from cli.main import main; sys.exit(main())",
        *arguments,
    ]


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    with Ports() as ports:
        yield str(ports.reserve())


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, port: str) -> Iterator[DevHarness]:
    dev = DevHarness(tmp_path_factory.mktemp("dev") / "data", "--port", port, "--ephemeral")
    try:
        dev.wait_until_ready()
        yield dev
    finally:
        dev.process.kill()
        dev.process.wait()
        dev.nothing_is_left()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., DevHarness]]:
    devs: list[DevHarness] = []

    def start(*arguments: str) -> DevHarness:
        devs.append(DevHarness(tmp_path / "data", *arguments))
        return devs[-1]

    yield start
    for dev in devs:
        dev.process.kill()
        dev.process.wait()
    for dev in devs:
        dev.nothing_is_left()


def test_dev_prints_one_ready_block(dev: DevHarness, port: str) -> None:
    wait_until(lambda: "Ctrl-C stops it." in dev.output)
    assert dev.output.count("Axon is ready") == 1
    block = dev.output.partition("Axon is ready")[2]
    for text in (f"http://127.0.0.1:{port}/v1", "sk-axon-local", "client.responses.connect()"):
        assert text in block


def test_dev_prints_a_snippet_that_works(dev: DevHarness) -> None:
    wait_until(lambda: "Ctrl-C stops it." in dev.output)
    snippet = dev.output.partition("from openai")[2].partition("Ctrl-C")[0]
    script = textwrap.dedent("  from openai" + snippet)
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (result.stdout, result.stderr) == ("What is the capital of France?", "")


def test_dev_listens_on_the_loopback_interface_only(dev: DevHarness) -> None:
    processes = owned(str(dev.data / "run"))
    listening = [
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status == "LISTEN"
    ]
    assert len(listening) >= 8
    assert set(listening) == {LOOPBACK}


def test_chat_prints_answers(dev: DevHarness) -> None:
    result = dev.run("chat", said="hello there\ncount to 3\n")
    assert (result.stdout, result.stderr, result.returncode) == ("hello there\n1 2 3\n", "", 0)


@pytest.mark.parametrize("api", ["responses", "chat", "messages"])
def test_chat_speaks_each_api_over_http(dev: DevHarness, api: str) -> None:
    result = dev.run("chat", "--api", api, "--figures", said="hello there\ncount to 3\n")
    assert (result.stdout, result.returncode) == ("hello there\n1 2 3\n", 0)
    first, second = result.stderr.splitlines()
    assert first.startswith("[2 tokens, 2 in, first after ")
    assert second.startswith("[3 tokens, ")


def test_chat_prints_an_error_in_one_line(dev: DevHarness) -> None:
    unknown = dev.run("chat", "--model", "gpt-6", said="hello\n")
    assert unknown.returncode == 1
    assert re.fullmatch(r"axon: .*gpt-6.*\(model_not_found\)\n", unknown.stderr)
    refused = dev.run("chat", "--key", "wrong", said="hello\n")
    assert refused.returncode == 1
    assert re.fullmatch(r"axon: cannot connect to .*: the key was refused\n", refused.stderr)


def test_status_shows_processes_and_queues(dev: DevHarness) -> None:
    report = json.loads(dev.run("status", "--json").stdout)
    assert (report["engine"], report["model"]) == ("echo", "echo")
    assert [process["name"] for process in report["processes"]] == list(NAMES)
    for process in report["processes"]:
        assert (process["state"], process["pid"]) == ("ready", dev.pid(process["name"]))
    names = [queue["name"] for queue in report["queues"]]
    assert sorted(names) == ["history-dlq.fifo", "history.fifo", "jobs", "jobs-dlq", "jobs-parked"]
    assert "no active responses" in dev.run("status").stdout


def test_dlq_has_a_job_that_cannot_be_read(dev: DevHarness) -> None:
    endpoints = json.loads((dev.data / "run" / "endpoints.json").read_text())
    urls = endpoints["queues"]
    client = boto3.client("sqs", endpoint_url=endpoints["aws_endpoint"])
    sent = client.send_message(QueueUrl=urls["jobs-dlq"], MessageBody="poison")
    client.close()

    def letters() -> list[dict[str, str]]:
        listed = dev.run("dlq", "list", "--json")
        assert listed.returncode == 0, listed.stderr
        found: list[dict[str, str]] = json.loads(listed.stdout)["letters"]
        return found

    wait_until(lambda: bool(letters()), timeout_s=30)
    (letter,) = letters()
    assert (letter["id"], letter["queue"]) == (sent["MessageId"], "jobs")
    assert letter["why"].startswith("not a job: ")
    shown = dev.run("dlq", "show", letter["id"][:8])
    assert shown.stdout.endswith("\n\npoison\n")
    purged = dev.run("dlq", "purge", letter["id"], said="y\n")
    assert purged.stdout == "1 dead letter of jobs deleted\n", purged.stderr
    assert letters() == []


def test_keys_command_creates_and_revokes_a_key(dev: DevHarness) -> None:
    secret = dev.run("keys", "create", "mine", "--tenant", "acme").stdout.strip()
    said = dev.run("chat", "--key", secret, said="hello\n")
    assert said.stdout == "hello\n", said.stderr
    line = next(line for line in dev.run("keys", "list").stdout.splitlines() if " mine " in line)
    assert secret not in line
    assert f"...{secret[-4:]}" in line
    assert dev.run("keys", "revoke", line.split()[0]).returncode == 0
    assert "the key was refused" in dev.run("chat", "--key", secret, said="hello\n").stderr
    assert dev.run("keys", "revoke", "key_x").returncode == 1


def test_dev_refuses_a_data_folder_in_use(dev: DevHarness) -> None:
    result = dev.run("dev", "--port", "1")
    assert result.returncode == 2
    in_use = f"{dev.data} is in use by another `axon dev` (process {dev.process.pid})"
    assert result.stderr == f"axon: {in_use}\n"


def test_dev_restarts_a_killed_process(dev: DevHarness) -> None:
    for name in NAMES:
        pid = dev.pid(name)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda name=name: f"{name} is ready again" in dev.output)  # type: ignore[misc]
        assert dev.pid(name) != pid
    assert dev.output.count("was killed by SIGKILL; restarting") == len(NAMES)
    # The worker announces its model again within seconds.
    wait_until(lambda: dev.run("chat", said="hello\n").stdout == "hello\n", timeout_s=60)


def test_dev_leaves_no_process_when_it_is_killed(
    start: Callable[..., DevHarness], port: str
) -> None:
    with Ports() as ports:
        dev = start("--port", str(ports.reserve()))
    dev.wait_until_ready()
    processes = owned(str(dev.data / "run"))
    assert len(processes) > len(NAMES)
    dev.process.kill()
    dev.process.wait()
    wait_until(lambda: not any(alive(process.pid) for process in processes))


def test_dev_stops_at_ctrl_c_and_keeps_the_data(start: Callable[..., DevHarness]) -> None:
    with Ports() as ports:
        port = str(ports.reserve())
        first = start("--port", port)
        first.wait_until_ready()
        secret = first.run("keys", "create", "kept").stdout.strip()
        processes = owned(str(first.data / "run"))
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(30) == 0
        assert not any(alive(process.pid) for process in processes)
        assert first.output.endswith("stopping\nstopped\n")
        assert [path.name for path in (first.data / "run").iterdir()] == ["lock"]

        second = start("--port", port)
        second.wait_until_ready()
        assert second.run("chat", "--key", secret, said="again\n").stdout == "again\n"


def test_dev_stops_at_ctrl_c_while_it_starts(start: Callable[..., DevHarness]) -> None:
    with Ports() as ports:
        dev = start("--port", str(ports.reserve()))
    wait_until(lambda: "valkey ready" in dev.output)
    dev.process.send_signal(signal.SIGINT)
    assert dev.process.wait(30) == 0
    assert not owned(str(dev.data / "run"))


def test_dev_refuses_a_taken_port(start: Callable[..., DevHarness]) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        dev = start("--port", str(port))
        assert dev.process.wait(30) == 2
    assert dev.output == f"axon: port {port} is taken; choose another with --port\n"
