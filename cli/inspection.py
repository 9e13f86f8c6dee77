"""The state of a running local cloud: processes, queues, active responses."""

import http.client
import json
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cli.endpoints import Endpoints, alive, read_json
from cli.errors import CommandError

LISTED = 20
TIMEOUT_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process of the local cloud; `up_s` is the number of seconds in its present state."""

    name: str
    pid: int | None
    state: str
    up_s: float
    restarts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """A queue: its visible messages, and those in flight."""

    name: str
    visible: int
    in_flight: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Active:
    """A response that has not ended."""

    response_id: str
    status: str
    age_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The whole state; `active` holds the oldest of the `active_count` responses."""

    base_url: str
    engine: str
    model: str
    processes: tuple[Process, ...]
    queues: tuple[Queue, ...]
    active_count: int
    active: tuple[Active, ...]

    def as_json(self) -> str:
        """Return it for programs."""
        return json.dumps(asdict(self), indent=2)


def inspect(data: Path) -> Report:
    """Return the state of the local cloud on a data folder.

    Raises
    ------
    CommandError
        It does not run, or a server does not answer.
    """
    endpoints = Endpoints.read(data)
    active_count, active = _active(endpoints.valkey_url)
    return Report(
        base_url=endpoints.base_url,
        engine=endpoints.engine,
        model=endpoints.model,
        processes=_processes(data),
        queues=_queues(endpoints),
        active_count=active_count,
        active=active,
    )


def _processes(data: Path) -> tuple[Process, ...]:
    state = read_json(data / "run" / "state.json") or {}
    processes: Mapping[str, Mapping[str, Any]] = state.get("processes", {})
    return tuple(
        Process(
            name=name,
            pid=process["pid"],
            # Without an id it is being restarted, which its state says. "dead": the supervisor was
            # killed before it could write the process's end.
            state=process["state"] if process["pid"] is None or alive(process["pid"]) else "dead",
            up_s=time.time() - process["since"],
            restarts=process["restarts"],
        )
        for name, process in processes.items()
    )


def _queues(endpoints: Endpoints) -> tuple[Queue, ...]:
    """Ask fauxqs by its own API: importing an AWS client takes ten times as long."""
    url = f"{endpoints.aws_endpoint}/_fauxqs/queues"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - our own URL
            queues = {queue["name"]: queue for queue in json.load(answer)}
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise CommandError(f"the queues do not answer: {error}", code=1) from error
    return tuple(
        Queue(
            name=name,
            visible=queues[name]["approximateMessageCount"],
            in_flight=queues[name]["approximateInflightCount"],
        )
        for name in endpoints.queues
        if name in queues
    )


def _active(valkey_url: str) -> tuple[int, tuple[Active, ...]]:
    import redis

    from axon.adapters.valkey import keys

    try:
        with redis.Redis.from_url(
            valkey_url, socket_timeout=TIMEOUT_S, decode_responses=True
        ) as client:
            count: int = client.zcard(keys.DEADLINES)
            ids: list[str] = client.zrange(keys.DEADLINES, 0, LISTED - 1)
            pipeline = client.pipeline(transaction=False)
            for response_id in ids:
                pipeline.hget(keys.response(response_id), "status")
            statuses: list[str | None] = pipeline.execute()
    except redis.RedisError as error:
        raise CommandError(f"Valkey does not answer: {error}", code=1) from error
    now = time.time()
    return count, tuple(
        Active(response_id=response_id, status=status or "lost", age_s=now - made_at(response_id))
        for response_id, status in zip(ids, statuses, strict=True)
    )


def made_at(response_id: str) -> float:
    """Return the time in an id's UUIDv7, in seconds since 1970."""
    return int(response_id.partition("_")[2][:12], 16) / 1000
