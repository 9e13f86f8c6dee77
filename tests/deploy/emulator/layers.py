"""Layers unpacked once, not for each start of a function."""

import hashlib
import shutil
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.deploy.emulator.ministack import runtime


def share(folder: Path) -> None:
    """Keep in `folder` what was unpacked, and lead to it from then on.

    ministack unpacks a layer again for every process it starts, which takes seconds; on AWS a cold
    start does not wait for that.
    """
    lock = threading.Lock()

    class ZipFile(zipfile.ZipFile):
        def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:
            digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
            unpacked = folder / digest
            with lock:
                if not unpacked.is_dir():
                    new = folder / f"{digest}.new"
                    super().extractall(new, members, pwd)
                    shutil.move(new, unpacked)
            for entry in unpacked.iterdir():
                (Path(path) / entry.name).symlink_to(entry)

    runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": ZipFile})
