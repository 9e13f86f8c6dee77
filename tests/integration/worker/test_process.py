"""``python -m worker``: a process that may be stopped and killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.integration.worker.conftest import ROOT, Processes, WorkerHarness
from tests.unit.axon.adapters.aws.ecs_agent_stub import ecs_agent_stand_in


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_process_ends_soon_after_a_signal(
    harness: WorkerHarness, processes: Processes, number: signal.Signals
) -> None:
    process = processes.start()
    await harness.ended(await harness.submit())
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(10) == 0
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(("wanted", "requests"), [("true", 1), ("false", 0)])
async def test_process_protects_its_task_if_configured(
    harness: WorkerHarness, processes: Processes, wanted: str, requests: int
) -> None:
    async with ecs_agent_stand_in() as agent:
        processes.start(task_protection=wanted, ecs_agent_uri=agent.uri)
        await harness.ended(await harness.submit())
        await agent.was_asked(requests)
        assert agent.asked == [{"ProtectionEnabled": True, "ExpiresInMinutes": 30}] * requests


def test_process_writes_json_logs(processes: Processes) -> None:
    process = processes.start(log_format="json")
    assert process.stderr is not None
    entry = json.loads(process.stderr.readline())
    assert (entry["level"], entry["logger"]) == ("INFO", "worker.app")
    assert entry["message"].startswith("serving echo")


def test_process_ends_with_one_line_about_wrong_settings(processes: Processes) -> None:
    process = processes.start(slots="none", valkey_url="")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.startswith("worker: AXON_")
    assert "AXON_SLOTS" in errors
    assert "AXON_VALKEY_URL" in errors
    assert errors.count("\n") == 1


async def test_process_with_a_hung_engine_ends_and_leaves_its_jobs_to_others(
    harness: WorkerHarness, processes: Processes
) -> None:
    process = processes.start(engine_stall_s="1", echo_ttft_ms="600000")
    response_id = await harness.submit(input="hello")
    assert await asyncio.to_thread(process.wait, 20) == 70
    async with harness.worker():
        decoded = await harness.ended(response_id)
    assert decoded[-1]["type"] == "response.completed"
    assert (await harness.describe(response_id)).epoch == 2


def test_process_has_an_exit_status_for_a_dead_engine() -> None:
    script = """
import runpy
import worker.app
from worker.engines.protocol import EngineDeadError

async def serve(settings, **_):
    raise EngineDeadError("out of memory")

worker.app.serve = serve
runpy.run_module("worker", run_name="__main__")
"""
    variables = {
        f"AXON_{name}": "x"
        for name in ("VALKEY_URL", "POSTGRES_DSN", "JOBS_QUEUE_URL", "HISTORY_QUEUE_URL")
    }
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 70
    assert "the engine died: out of memory" in ended.stderr
