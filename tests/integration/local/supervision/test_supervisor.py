import os
import re
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from tests.integration.local.supervision.supervisor_harness import SupervisorHarness, alive
from tests.support.eventually import wait_until

StartSupervisor = Callable[..., SupervisorHarness]


@pytest.fixture
def cloud(start_supervisor: StartSupervisor) -> SupervisorHarness:
    cloud = start_supervisor()
    cloud.says("all ready")
    return cloud


def test_supervisor_starts_programs_in_order_and_announces_them(cloud: SupervisorHarness) -> None:
    assert re.search(r"parent ready in .*\n.* child ready in .*\nall ready\n", cloud.output)
    assert cloud.state("parent")["pid"] == cloud.pid("parent")
    assert cloud.state("child")["state"] == "ready"


def test_supervisor_stops_everything_at_sigterm(cloud: SupervisorHarness) -> None:
    pids = [cloud.pid("parent"), cloud.pid("child"), int((cloud.root / "grandchild").read_text())]
    assert cloud.end(signal.SIGTERM) == 0
    assert not any(map(alive, pids))
    assert (cloud.root / "stops").read_text() == "child parent "
    assert not list((cloud.root / "run").glob("*.pid"))
    assert cloud.output.endswith("all stopped\n")


def test_supervisor_kills_a_program_that_does_not_stop(start_supervisor: StartSupervisor) -> None:
    cloud = start_supervisor("stubborn")
    cloud.says("all ready")
    pid = cloud.pid("child")
    began = time.monotonic()
    assert cloud.end(signal.SIGTERM) == 0
    assert 4 < time.monotonic() - began < 10
    assert not alive(pid)


def test_supervisor_restarts_a_dead_program_and_announces_it(cloud: SupervisorHarness) -> None:
    parent, child = cloud.pid("parent"), cloud.pid("child")
    os.kill(parent, signal.SIGKILL)
    cloud.says("parent was killed by SIGKILL; restarting\n")
    cloud.says("parent is ready again")
    assert cloud.pid("parent") != parent
    assert cloud.pid("child") == child
    assert cloud.state("parent")["restarts"] == 1
    assert alive(cloud.pid("parent"))


def test_supervisor_restarts_a_program_again_and_again(cloud: SupervisorHarness) -> None:
    for _ in range(3):
        before = cloud.output.count("child is ready again")
        os.kill(cloud.pid("child"), signal.SIGKILL)
        cloud.says_again("child is ready again", before)
    assert cloud.state("child")["restarts"] == 3


def test_supervisor_stops_everything_when_a_start_fails(start_supervisor: StartSupervisor) -> None:
    cloud = start_supervisor("breaks")
    assert cloud.process.wait(20) == 1
    assert "error: child did not start: the model is missing\n" in cloud.output
    cloud.nothing_is_left()


def test_guardian_kills_everything_when_the_supervisor_is_killed(cloud: SupervisorHarness) -> None:
    grandchild = int((cloud.root / "grandchild").read_text())
    assert cloud.end(signal.SIGKILL) == -signal.SIGKILL
    cloud.nothing_is_left()
    wait_until(lambda: not alive(grandchild))


def test_supervisor_starts_again_after_it_was_killed(
    cloud: SupervisorHarness, start_supervisor: StartSupervisor
) -> None:
    cloud.end(signal.SIGKILL)
    second = start_supervisor()
    cloud.says_again("all ready")
    assert alive(second.pid("child"))
    assert second.pid("supervisor") == second.process.pid


def test_supervisor_kills_processes_of_a_dead_supervisor(
    cloud: SupervisorHarness, start_supervisor: StartSupervisor
) -> None:
    """Supervisor and guardian killed at once: the next start finds the leftovers."""
    guardian = next(
        process.pid
        for process in psutil.Process(cloud.process.pid).children()
        if "local.supervision.guardian" in process.cmdline()
    )
    leftovers = [cloud.pid("parent"), cloud.pid("child")]
    os.kill(guardian, signal.SIGKILL)
    cloud.end(signal.SIGKILL)
    assert all(map(alive, leftovers))
    start_supervisor()
    cloud.says_again("all ready")
    assert not any(map(alive, leftovers))


def test_supervisor_does_not_trust_a_stale_pid_file(
    start_supervisor: StartSupervisor, cloud: SupervisorHarness
) -> None:
    """A process id that now belongs to somebody else is left alone."""
    cloud.end(signal.SIGTERM)
    (cloud.root / "run" / "worker-7.pid").write_text(str(os.getpid()))
    start_supervisor()
    cloud.says_again("all ready")
    assert not (cloud.root / "run" / "worker-7.pid").exists()


def test_supervisor_refuses_folders_in_use(
    cloud: SupervisorHarness, start_supervisor: StartSupervisor
) -> None:
    second = start_supervisor()
    assert second.process.wait(20) == 1
    in_use = f"{cloud.root} is in use by another `axon dev` (process {cloud.process.pid})"
    assert f"error: {in_use}\n" in cloud.output
    assert alive(cloud.pid("child"))
