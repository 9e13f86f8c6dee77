import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from typing import Any

import pytest

from tests.support.eventually import wait_until
from tests.unit.worker.engines.openvino.pipeline_stub import ENDLESS, REFUSE, ScriptedPipeline
from worker.engines.openvino.server import LineReader, serve

Messages = SimpleQueue[Mapping[str, Any]]


class ServerHarness:
    """A server on its own thread, and the pipe that is its input."""

    def __init__(self) -> None:
        self.pipeline = ScriptedPipeline()
        self.sent: Messages = SimpleQueue()
        self._read_end, self._write_end = os.pipe()
        self._thread = threading.Thread(
            target=serve, args=(self.pipeline, LineReader(self._read_end), self.sent.put)
        )
        self._thread.start()

    def write(self, *messages: Mapping[str, Any]) -> None:
        os.write(self._write_end, b"".join(json.dumps(m).encode() + b"\n" for m in messages))

    def write_raw(self, data: bytes) -> None:
        os.write(self._write_end, data)

    def outputs(self, count: int) -> list[Any]:
        outputs: list[Any] = []
        while len(outputs) < count:
            outputs += self.sent.get(timeout=10)["tokens"]
        return outputs

    def end(self) -> None:
        os.close(self._write_end)
        self._thread.join(10)
        assert not self._thread.is_alive()
        os.close(self._read_end)


@pytest.fixture
def served() -> Iterator[ServerHarness]:
    server = ServerHarness()
    yield server
    server.end()


def test_server_generates_in_one_batch(served: ServerHarness) -> None:
    served.write(
        {"add": 1, "ids": [10, 11], "config": {}}, {"add": 2, "ids": [20, 21], "config": {}}
    )
    assert served.outputs(4) == [
        (1, [10], None),
        (2, [20], None),
        (1, [11], "stop"),
        (2, [21], "stop"),
    ]


def test_server_adds_a_request_to_the_running_batch(served: ServerHarness) -> None:
    served.write({"add": 1, "ids": [ENDLESS], "config": {}})
    served.outputs(3)
    served.write({"add": 2, "ids": [20], "config": {}})
    wait_until(lambda: (2, [20], "stop") in served.outputs(1), interval_s=0)
    served.write({"cancel": 1})


def test_server_reports_a_refused_request_and_runs_the_next(served: ServerHarness) -> None:
    served.write({"add": 1, "ids": [REFUSE], "config": {}}, {"add": 2, "ids": [20], "config": {}})
    assert served.outputs(2) == [(1, (), "failed"), (2, [20], "stop")]


def test_server_stops_stepping_when_all_requests_have_ended(served: ServerHarness) -> None:
    served.write({"add": 1, "ids": [ENDLESS], "config": {}})
    served.outputs(3)
    served.write({"cancel": 1}, {"add": 2, "ids": [20], "config": {}})
    wait_until(lambda: (2, [20], "stop") in served.outputs(1), interval_s=0)
    steps = served.pipeline.steps
    served.write({"add": 3, "ids": [30], "config": {}})
    assert served.outputs(1) == [(3, [30], "stop")]
    assert served.pipeline.steps == steps + 1


def test_server_reads_a_line_that_arrives_in_pieces(served: ServerHarness) -> None:
    line = json.dumps({"add": 1, "ids": [10], "config": {}}).encode() + b"\n"
    for piece in (line[:5], line[5:20], line[20:]):
        served.write_raw(piece)
    assert served.outputs(1) == [(1, [10], "stop")]


def test_server_exits_with_the_worker_even_while_busy() -> None:
    busy = "import time; from worker.engines.child import exit_on_hangup; exit_on_hangup(0)"
    command = [sys.executable, "-c", f"{busy}; time.sleep(60)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.close()
        assert process.wait(20) == 0


def test_server_reads_a_long_prompt(served: ServerHarness) -> None:
    served.write({"add": 1, "ids": [7] * 20_000, "config": {}})
    assert served.outputs(20_000)[-1] == (1, [7], "stop")
