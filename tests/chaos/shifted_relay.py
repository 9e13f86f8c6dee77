"""`python -m tests.chaos.shifted_relay`: the relay, its wall clock as the harness sets it."""

import os
import runpy
from pathlib import Path

from tests.chaos.control import FILE_VARIABLE, Control, shift_clock

if __name__ == "__main__":
    shift_clock(Control(Path(os.environ[FILE_VARIABLE])))
    runpy.run_module("relay", run_name="__main__", alter_sys=True)
