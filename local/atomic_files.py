"""Files that others read while they change."""

import json
import os
from collections.abc import Mapping
from pathlib import Path


def replace_file(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write the file so that a reader sees the old text or the new, nothing between."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    new.replace(path)


def write_json(path: Path, content: Mapping[str, object]) -> Path:
    """Write it as JSON, readable for its owner only: endpoints carry passwords."""
    replace_file(path, json.dumps(content, indent=2) + "\n")
    return path
