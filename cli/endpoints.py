"""Reads the addresses of a running local cloud from its data folder."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.errors import CommandError


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoints:
    """The part of `<data>/run/endpoints.json` that the commands use."""

    base_url: str
    api_key: str
    engine: str
    model: str
    valkey_url: str
    aws_endpoint: str
    lambda_endpoint: str
    queues: dict[str, str]
    aws_session_token: str = ""
    """Empty in the file of an earlier version, which checks none."""

    @classmethod
    def read(cls, data: Path) -> "Endpoints":
        """Read the file.

        Raises
        ------
        CommandError
            No Axon runs on this data folder.
        """
        content = read_json(data / "run" / "endpoints.json")
        if content is None or not _runs(data):
            raise CommandError(f"no Axon is running on {data}; start one with `axon dev`")
        return cls(**{name: content[name] for name in cls.__dataclass_fields__ if name in content})


def _runs(data: Path) -> bool:
    """Return whether the supervisor is alive; a killed one leaves its files behind."""
    try:
        return alive(int((data / "run" / "supervisor.pid").read_text()))
    except (OSError, ValueError):
        return False


def alive(pid: int) -> bool:
    """Return whether a process with this id runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file, or None when it does not exist.

    Raises
    ------
    CommandError
        It cannot be read.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot read {path}: {error}") from error
    return content
