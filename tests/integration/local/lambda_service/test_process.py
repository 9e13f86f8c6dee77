"""The service's own life: health, signals, refusals to start."""

import json
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.integration.local.lambda_service.conftest import HANDLER, call, lambda_client
from tests.integration.local.service_harness import refused, running, wait_until_dead
from tests.support.eventually import wait_until

MODULE = "local.lambda_service"
Write = Callable[[str], Path]


def config(folder: Path, **function: Any) -> dict[str, Any]:
    return {"port": 0, "functions": {"f": {"folder": str(folder), "timeout_s": 20, **function}}}


def test_stop_lets_running_invocations_finish(write_function: Write, tmp_path: Path) -> None:
    settings = config(write_function(HANDLER), min_environments=2)
    note = tmp_path / "note"
    with running(MODULE, settings, tmp_path) as service, lambda_client(service) as client:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(call, client, "f", {"sleep": 0.5, "note": str(note)})
            wait_until(note.exists)
            environments = service.environments()
            # Ctrl-C in a terminal has to reach the service alone.
            assert all(os.getsid(pid) == pid for pid in environments)
            assert service.stop() == 0
            assert "error" not in answer.result()
        assert environments
        for pid in environments:
            wait_until_dead(pid)


def test_stop_is_bounded_in_time(write_function: Write, tmp_path: Path) -> None:
    settings = config(write_function(HANDLER)) | {"stop_timeout_s": 0.2}
    note = tmp_path / "note"
    with (
        running(MODULE, settings, tmp_path) as service,
        lambda_client(service) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(call, client, "f", {"sleep": 15, "note": str(note)})
        wait_until(note.exists)
        started = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - started < 5
        assert answer.result()["errorType"] == "Runtime.ExitError"


def test_killed_service_leaves_no_environment(write_function: Write, tmp_path: Path) -> None:
    settings = config(write_function(HANDLER), min_environments=2)
    note = tmp_path / "note"
    with running(MODULE, settings, tmp_path) as service, lambda_client(service) as client:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(call, client, "f", {"sleep": 15, "note": str(note)})
            wait_until(note.exists)
            wait_until(lambda: len(service.environments()) == 2)
            environments = service.environments()
            service.process.kill()
            service.process.wait()
            assert answer.exception() is not None
        for pid in environments:
            wait_until_dead(pid)


def test_health_waits_for_environments_that_are_kept_ready(
    write_function: Write, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    source = f"""
        import os
        if not os.path.exists({str(gate)!r}):
            raise SystemExit("not yet")
        def handler(event, context):
            return None
    """
    settings = config(write_function(source), min_environments=1)
    with running(MODULE, settings, tmp_path) as service:
        with pytest.raises(HTTPError) as refusal:
            urlopen(f"{service.endpoint}/health")
        assert refusal.value.code == 503
        assert json.load(refusal.value)["status"] == "starting"
        refusal.value.close()
        wait_until(lambda: "init failed" in service.log.read_text())
        gate.touch()
        wait_until(lambda: healthy(service.endpoint))


def healthy(endpoint: str) -> bool:
    try:
        with urlopen(f"{endpoint}/health") as response:
            return bool(response.status == 200)
    except HTTPError as error:
        error.close()
        return False


def test_init_that_hangs_is_killed(write_function: Write, tmp_path: Path) -> None:
    settings = config(write_function("import time; time.sleep(60)")) | {"init_timeout_s": 0.3}
    with running(MODULE, settings, tmp_path) as service, lambda_client(service) as client:
        answer = call(client, "f", {})
        assert answer["errorMessage"] == "Init timed out after 0.30 seconds"
        wait_until(lambda: not service.environments())


def test_child_of_a_function_is_killed_with_it(write_function: Write, tmp_path: Path) -> None:
    source = """
        import subprocess, time
        def handler(event, context):
            child = subprocess.Popen(["sleep", "60"])
            with open(event["note"], "w") as file:
                file.write(str(child.pid))
            time.sleep(60)
    """
    settings = config(write_function(source), timeout_s=0.3)
    note = tmp_path / "note"
    with running(MODULE, settings, tmp_path) as service, lambda_client(service) as client:
        assert call(client, "f", {"note": str(note)})["errorType"] == "Sandbox.Timedout"
        wait_until_dead(int(note.read_text()))


def test_service_refuses_a_taken_port(write_function: Write, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file.write_text(json.dumps(config(write_function(HANDLER)) | {"port": port}))
        assert "address already in use" in refused(MODULE, file)


def test_service_refuses_a_wrong_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    assert "No such file" in refused(MODULE, file)
    file.write_text(json.dumps(config(tmp_path / "nowhere") | {"prot": 1}))
    message = refused(MODULE, file)
    assert "functions.f: Value error, no such folder" in message
    assert "prot: Extra inputs are not permitted" in message
