import time

import pytest

from axon.ids import new_id
from cli.inspection import Active, Process, Queue, Report, made_at
from cli.status import as_text

REPORT = Report(
    base_url="http://127.0.0.1:8000/v1",
    engine="echo",
    model="echo",
    processes=(
        Process(name="worker-0", pid=12, state="ready", up_s=61, restarts=1),
        Process(name="relay-0", pid=None, state="restarting", up_s=0.5, restarts=3),
    ),
    queues=(Queue(name="jobs", visible=5, in_flight=2),),
    active_count=25,
    active=tuple(
        Active(response_id=f"resp_{number}", status="in_progress", age_s=3) for number in range(20)
    ),
)


def test_made_at_reads_the_time_in_an_id() -> None:
    assert made_at(new_id("resp")) == pytest.approx(time.time(), abs=1)


def test_status_text_shows_processes_queues_and_responses() -> None:
    lines = as_text(REPORT).splitlines()
    assert "http://127.0.0.1:8000/v1  engine echo, model echo" in lines
    assert "worker-0  12   ready       1 min  1" in lines
    assert "relay-0   -    restarting  0.5 s  3" in lines
    assert "jobs   5        2" in lines
    assert "25 active responses" in lines
    assert lines[-1] == "and 5 more"


def test_status_json_holds_everything() -> None:
    assert '"active_count": 25' in REPORT.as_json()
    assert REPORT.as_json().count("resp_") == 20
