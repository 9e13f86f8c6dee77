"""Outlives the supervisor by a moment: when it is gone, whatever way, ends what it left behind.

Run as `python -m local.supervision.guardian OWNER [FOLDER]` with standard input a pipe whose
other end only the supervisor holds. Works where there is no PR_SET_PDEATHSIG, and reaches
grandchildren too.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self


class Guardian:
    """The supervisor's side of it.

    Parameters
    ----------
    owner
        Value of AXON_LOCAL_OWNER that the supervisor's processes carry.
    temporary
        Folder to remove once they are gone.
    """

    def __init__(self, *, owner: str, temporary: Path | None = None) -> None:
        command = [sys.executable, "-m", "local.supervision.guardian", owner]
        if temporary is not None:
            command.append(str(temporary))
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let it do its work now, and wait for it."""
        self._process.communicate()


def main() -> None:
    """Wait for the supervisor's end, then clean up after it."""
    while os.read(sys.stdin.fileno(), 64):
        pass
    # Imported late: nothing of it is needed for as long as the supervisor lives.
    from local.supervision.leftovers import end_leftovers

    owner, *temporary = sys.argv[1:]
    end_leftovers(owner)
    for folder in temporary:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
