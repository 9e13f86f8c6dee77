"""`python -m tests.chaos.counting_worker`: the worker, its echo engine counting its tokens."""

import os
import runpy
from pathlib import Path

from tests.chaos.tokens import FOLDER_VARIABLE, CountingEchoEngine, TokenFile
from worker.engines import factory

if __name__ == "__main__":
    name = f"{os.environ['AXON_WORKER_ID']}.{os.getpid()}"
    CountingEchoEngine.file = TokenFile(Path(os.environ[FOLDER_VARIABLE], name))
    vars(factory)["EchoEngine"] = CountingEchoEngine
    runpy.run_module("worker", run_name="__main__", alter_sys=True)
