"""`python -m tests.chaos.counting_worker`: the worker; its echo engine counts tokens, and may hang.

Its wall clock is as the harness sets it, and it loses the jobs of doomed requests.
"""

import os
import runpy
from pathlib import Path

from axon.adapters.aws import sqs
from tests.chaos.control import FILE_VARIABLE, Control, shift_clock
from tests.chaos.engine import ChaosEngine
from tests.chaos.lost_jobs import LosingJobQueue
from tests.chaos.tokens import FOLDER_VARIABLE, TokenFile
from worker.engines import factory

if __name__ == "__main__":
    name = f"{os.environ['AXON_WORKER_ID']}.{os.getpid()}"
    ChaosEngine.file = TokenFile(Path(os.environ[FOLDER_VARIABLE], name))
    ChaosEngine.control = Control(Path(os.environ[FILE_VARIABLE]))
    shift_clock(ChaosEngine.control)
    vars(sqs)["SqsJobQueue"] = LosingJobQueue
    vars(factory)["EchoEngine"] = ChaosEngine
    runpy.run_module("worker", run_name="__main__", alter_sys=True)
