"""Environments: one process each, one event at a time, and what happens when they die."""

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local.lambda_service.conftest import Invoke
from tests.integration.local.service_harness import ServiceHarness, wait_until_dead
from tests.support.eventually import wait_until


def test_environment_is_used_again(invoke: Invoke) -> None:
    first, second = invoke("reuse"), invoke("reuse")
    assert second["pid"] == first["pid"]
    assert second["invocations"] == first["invocations"] + 1


def in_parallel(invoke: Invoke, function: str, calls: int) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(lambda _: invoke(function, sleep=0.1), range(calls)))


def overlaps(spans: list[list[float]]) -> bool:
    ordered = sorted(spans)
    return any(a[1] > b[0] for a, b in pairwise(ordered))


def test_environments_grow_with_concurrency_up_to_the_limit(invoke: Invoke) -> None:
    answers = in_parallel(invoke, "parallel", 12)
    pids = {answer["pid"] for answer in answers}
    assert 2 <= len(pids) <= 3
    assert overlaps([answer["span"] for answer in answers])
    for pid in pids:
        assert not overlaps([answer["span"] for answer in answers if answer["pid"] == pid])


def test_requests_queue_for_a_single_environment(invoke: Invoke) -> None:
    answers = in_parallel(invoke, "queue", 4)
    assert len({answer["pid"] for answer in answers}) == 1
    assert [sorted(answer["invocations"] for answer in answers)] == [[1, 2, 3, 4]]


def test_request_of_a_caller_that_gives_up_leaves_the_queue(
    invoke: Invoke, service: ServiceHarness, tmp_path: Path
) -> None:
    blocker = threading.Thread(target=invoke, args=("queue",), kwargs={"sleep": 0.5})
    blocker.start()
    wait_until(lambda: waiting(service, "queue") == 1)
    note = tmp_path / "note"
    connection = HTTPConnection("127.0.0.1", service.ports[0])
    path = "/2015-03-31/functions/queue/invocations"
    connection.request("POST", path, json.dumps({"note": str(note)}))
    wait_until(lambda: waiting(service, "queue") == 2)
    connection.close()
    wait_until(lambda: waiting(service, "queue") == 1)
    blocker.join()
    invoke("queue")
    assert not note.exists()


def health(service: ServiceHarness) -> dict[str, Any]:
    """Return the body of `/health`: with 503, too, while another test's function starts again."""
    connection = HTTPConnection("127.0.0.1", service.ports[0])
    with closing(connection):
        connection.request("GET", "/health")
        status: dict[str, Any] = json.load(connection.getresponse())
        return status


def waiting(service: ServiceHarness, function: str) -> int:
    count: int = health(service)["functions"][function]["invocations"]
    return count


def test_environment_is_killed_at_the_timeout(invoke: Invoke) -> None:
    pid = invoke("slow")["pid"]
    started = time.monotonic()
    answer = invoke("slow", sleep=10)
    assert time.monotonic() - started < 3
    assert answer["error"] == "Unhandled"
    assert answer["errorType"] == "Sandbox.Timedout"
    assert answer["errorMessage"].endswith("Task timed out after 0.30 seconds")
    wait_until_dead(pid)
    assert invoke("slow")["pid"] != pid


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (3, "Runtime exited with error: exit status 3"),
        (0, "Runtime exited without providing a reason"),
    ],
)
def test_environment_that_exits_fails_its_invocation(
    invoke: Invoke, code: int, reason: str
) -> None:
    answer = invoke("crash", exit=code)
    assert (answer["error"], answer["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert answer["errorMessage"].endswith(reason)
    assert invoke("crash")["invocations"] == 1


def test_environment_killed_while_busy_fails_its_invocation_at_once(
    invoke: Invoke, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(invoke, "crash", sleep=15, note=str(note))
        pid = int(wait_until(lambda: note.exists() and note.read_text()))
        started = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        assert answer.result()["errorMessage"].endswith("signal: killed")
    assert time.monotonic() - started < 3
    assert invoke("crash")["pid"] != pid


def test_environment_killed_while_idle_fails_no_invocation(invoke: Invoke) -> None:
    for _ in range(10):
        pid = invoke("idle-crash")["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until_dead(pid)
        answer = invoke("idle-crash")
        assert "error" not in answer
        assert answer["pid"] != pid


@pytest.mark.parametrize(
    ("function", "error_type", "message"),
    [
        ("broken", "Runtime.ImportModuleError", "No module named 'no_such_module'"),
        ("missing", "Runtime.HandlerNotFound", "Handler 'nothing' missing on module 'handler'"),
        ("exits", "Runtime.ExitError", "Runtime exited with error: exit status 7"),
    ],
)
def test_environment_reports_init_errors_each_time(
    invoke: Invoke, function: str, error_type: str, message: str
) -> None:
    for _ in range(2):
        answer = invoke(function)
        assert (answer["error"], answer["errorType"]) == ("Unhandled", error_type)
        assert message in answer["errorMessage"]


def test_environments_are_kept_ready(invoke: Invoke, service: ServiceHarness) -> None:
    wait_until(lambda: health(service)["functions"]["warm"]["idle"] == 2)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: invoke("warm", environment=True, sleep=0.3), range(2)))
    assert len({answer["pid"] for answer in answers}) == 2
    for answer in answers:
        kind = answer["environment"]["AWS_LAMBDA_INITIALIZATION_TYPE"]
        assert (kind, answer["memory"]) == ("provisioned-concurrency", "512")


def test_environments_of_two_versions_serve_one_function(
    invoke: Invoke, service: ServiceHarness
) -> None:
    wait_until(lambda: health(service)["functions"]["deployed"]["idle"] == 2)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: invoke("deployed"), range(2)))
    assert sorted(answer["version"] for answer in answers) == ["earlier", "today's"]
