"""Keeps the log files of programs small."""

import asyncio
import shutil
from pathlib import Path

LIMIT_BYTES = 8 * 1024 * 1024
CHECK_EVERY_S = 10.0


def rotate(log: Path, *, limit: int = LIMIT_BYTES) -> None:
    """Move the content of a log above `limit` bytes to `<log>.1`.

    The process keeps the file open, so it cannot be renamed: the content is copied and the file
    emptied. What the process writes between the two is lost.
    """
    if log.stat().st_size <= limit:
        return
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    with log.open("r+b") as file:
        file.truncate(0)


def rotate_all(folder: Path) -> None:
    """Rotate each log in the folder that needs it."""
    for log in folder.glob("*.log"):
        rotate(log)


async def keep_small(folder: Path) -> None:
    """Rotate the logs of a folder; runs until it is cancelled."""
    while True:
        await asyncio.to_thread(rotate_all, folder)
        await asyncio.sleep(CHECK_EVERY_S)
