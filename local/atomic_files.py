"""Replaces files that other processes may be reading."""

import json
import os
from collections.abc import Mapping
from pathlib import Path


def replace_file(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write the file; a reader sees either the old text or the new, never a part."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    new.replace(path)


def write_json(path: Path, content: Mapping[str, object]) -> Path:
    """Write JSON that only its owner may read, since endpoints contain passwords."""
    replace_file(path, json.dumps(content, indent=2) + "\n")
    return path
