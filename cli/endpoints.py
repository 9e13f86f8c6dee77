"""What a running local cloud says about itself in its data folder."""

import json
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
    postgres_dsn: str
    aws_endpoint: str
    queues: dict[str, str]

    @classmethod
    def read(cls, data: Path) -> "Endpoints":
        """Read them; CommandError when nothing runs on this data folder."""
        content = read_json(data / "run" / "endpoints.json")
        if content is None:
            raise CommandError(f"no Axon is running on {data}; start one with `axon dev`")
        return cls(**{name: content[name] for name in cls.__dataclass_fields__})


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the file's content; None when it is not there."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot read {path}: {error}") from error
    return content
