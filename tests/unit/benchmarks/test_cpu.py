import os
import subprocess
import sys
from collections.abc import Iterator
from time import monotonic, sleep

import pytest

from benchmarks.cpu import Usage, all_processes, cpu_by_name, spent

# A parent whose two children use CPU: one has ended when it says so, one lives on.
PARENT = """
import subprocess, sys, time
burn = "import time\\nwhile time.process_time() < 0.3: pass\\n"
subprocess.run([sys.executable, "-c", burn], check=True)
child = subprocess.Popen([sys.executable, "-c", burn + "print('done', flush=True)\\ninput()"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print("done", flush=True)
sys.stdin.readline()
child.communicate(b"\\n")
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.communicate(b"\n")


def test_cpu_by_name_counts_a_process_for_its_nearest_named_ancestor() -> None:
    processes = {
        1: Usage(0, 100.0),
        10: Usage(1, 1.0),
        11: Usage(10, 2.0),
        12: Usage(11, 4.0),
        13: Usage(10, 8.0),
        20: Usage(1, 50.0),
    }
    roots = {10: "supervisor", 11: "worker-0", 13: "lambda", 99: "gone"}
    assert cpu_by_name(processes, roots) == {
        "supervisor": 1.0,
        "worker-0": 6.0,
        "lambda": 8.0,
        "gone": 0.0,
    }


def test_cpu_by_name_adds_up_roots_of_one_name() -> None:
    processes = {10: Usage(1, 1.0), 11: Usage(1, 2.0)}
    assert cpu_by_name(processes, {10: "lambda", 11: "lambda"}) == {"lambda": 3.0}


def test_spent_is_the_difference_of_two_readings() -> None:
    assert spent({"a": 1.0}, {"a": 3.5, "b": 2.0}) == {"a": 2.5, "b": 2.0}


def test_all_processes_counts_children_that_run_or_have_ended(
    parent: subprocess.Popen[bytes],
) -> None:
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"done\n"
    seconds = cpu_by_name(all_processes(), {parent.pid: "parent"})["parent"]
    assert 0.55 <= seconds < 5


def test_all_processes_shows_the_cpu_time_of_this_process() -> None:
    roots = {os.getpid(): "me"}
    before, deadline = cpu_by_name(all_processes(), roots), monotonic() + 20
    while spent(before, cpu_by_name(all_processes(), roots))["me"] < 0.05:
        assert monotonic() < deadline
        sleep(0)
