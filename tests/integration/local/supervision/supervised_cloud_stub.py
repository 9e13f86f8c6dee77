"""Run by the tests as `supervised_cloud_stub.py ROOT [breaks|stubborn]`: supervises small programs.

`parent` starts a grandchild in a session of its own and notes its pid in ROOT/grandchild. With
`breaks` the second program ends before it is ready, with `stubborn` it ignores SIGTERM.
"""

import asyncio
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from local.errors import LocalCloudError
from local.stack.folders import Folders
from local.supervision.guardian import Guardian
from local.supervision.program import Program
from local.supervision.run_files import claimed
from local.supervision.supervisor import Supervisor

STOPPING = """
import pathlib, signal, sys
def stop(*_):
    with open(sys.argv[1] + "/stops", "a") as stops:
        stops.write(NAME + " ")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
"""
PARENT = """
import pathlib, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(sleep, start_new_session=True)
pathlib.Path(sys.argv[1], "grandchild").write_text(str(child.pid))
pathlib.Path(sys.argv[1], "parent.ready").touch()
time.sleep(600)
"""
CHILD = """
import pathlib, signal, sys, time
if sys.argv[2] == "breaks": sys.exit("the model is missing")
if sys.argv[2] == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1], "child.ready").touch()
time.sleep(600)
"""


def program(root: Path, name: str, script: str, *arguments: str, after: str = "") -> Program:
    ready = root / f"{name}.ready"
    return Program(
        name=name,
        command=(sys.executable, "-c", f"NAME = {name!r}{STOPPING}{script}", str(root), *arguments),
        prepare=lambda: ready.unlink(missing_ok=True),
        ready=lambda _pid: ready.exists(),
        after=frozenset({after} if after else ()),
    )


def say(line: str) -> None:
    print(line, flush=True)


async def run(root: Path, behaviour: str) -> None:
    folders = Folders(root=root, storage=root)
    folders.make()
    steps = [
        program(root, "parent", PARENT),
        program(root, "child", CHILD, behaviour, after="parent"),
    ]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with ExitStack() as stack:
        stack.enter_context(claimed(folders.run_files))
        stack.enter_context(Guardian(owner=folders.run_files.owner))
        supervisor = Supervisor(files=folders.run_files, steps=steps, announce=say)
        try:
            await supervisor.start()
            say("all ready")
            await stop.wait()
        finally:
            await supervisor.stop()
    say("all stopped")


if __name__ == "__main__":
    try:
        asyncio.run(run(Path(sys.argv[1]), (sys.argv[2:] or [""])[0]))
    except LocalCloudError as error:
        sys.exit(f"error: {error}")
