"""A process that outlives the supervisor: when that is gone, it kills the processes left behind.

Run as `python -m local.supervision.guardian OWNER [FOLDER]`. Its standard input is a pipe whose
other end only the supervisor holds: the kernel closes it at the supervisor's death, even by
SIGKILL. Unlike PR_SET_PDEATHSIG this also works on macOS, and reaches grandchildren.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self


class Guardian:
    """Handle of the guardian process.

    Parameters
    ----------
    owner : str
        Value of AXON_LOCAL_OWNER that the supervisor's processes carry.
    temporary : Path | None
        Folder to remove once they are gone.
    """

    def __init__(self, *, owner: str, temporary: Path | None = None) -> None:
        # -P: the folder of the caller may hold a `local` of its own.
        command = [sys.executable, "-P", "-m", "local.supervision.guardian", owner]
        if temporary is not None:
            command.append(str(temporary))
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Make the guardian clean up now, and wait for it."""
        self._process.communicate()


def main() -> None:
    """Wait for the end of the supervisor, then kill its processes and remove its folder."""
    while os.read(sys.stdin.fileno(), 64):
        pass
    # Imported late: the guardian waits with little memory while the supervisor lives.
    from local.supervision.leftovers import end_leftovers

    owner, *temporary = sys.argv[1:]
    end_leftovers(owner)
    for folder in temporary:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
