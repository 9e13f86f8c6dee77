import sys
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest

from benchmarks import server as module
from benchmarks.server import Server, ServerError, free_port

# Starts a child that ignores SIGTERM, serves, and leaves the child behind when it ends.
SERVES = """
import subprocess, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
child = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
child += "; time.sleep(600)"
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
process.stdout.readline()
HTTPServer(("127.0.0.1", int(sys.argv[1])), SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BENCH", tmp_path)
    monkeypatch.chdir(tmp_path)


async def test_server_is_ready_when_it_answers_and_stops_with_its_children() -> None:
    port = free_port()
    server = Server(name="x", command=[sys.executable, "-c", SERVES, str(port)])
    await server.ready(f"http://127.0.0.1:{port}/", within_s=30)
    root = psutil.Process(server.pid)
    (child,) = root.children()
    server.stop()
    deadline = monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert monotonic() < deadline
        sleep(0.01)
    assert not root.is_running()


async def test_server_that_ends_is_reported_with_its_log(tmp_path: Path) -> None:
    server = Server(name="x", command=[sys.executable, "-c", "print('broken'); exit(3)"])
    with pytest.raises(ServerError, match=r"x ended with 3: .*x\.log"):
        await server.ready(f"http://127.0.0.1:{free_port()}/", within_s=30)
    assert (tmp_path / "log" / "x.log").read_text() == "broken\n"


async def test_server_that_never_answers_is_stopped() -> None:
    server = Server(name="x", command=[sys.executable, "-c", "import time; time.sleep(600)"])
    with pytest.raises(ServerError, match=r"not ready in 0\.2 s"):
        await server.ready(f"http://127.0.0.1:{free_port()}/", within_s=0.2)
    assert not psutil.pid_exists(server.pid)
