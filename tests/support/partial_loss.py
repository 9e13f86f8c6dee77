"""A Valkey that loses its newest writes, as one does whose replica lagged at a failover."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All keys at one moment: the value of each, and when it expires (0: never)."""

    keys: dict[bytes, tuple[bytes, int]]


def snapshot(admin: "redis.Redis") -> Snapshot:
    """Return all keys as they are now."""
    run: Callable[..., Any] = admin.execute_command
    keys = run("KEYS", "*")
    return Snapshot({key: (run("DUMP", key), max(run("PEXPIRETIME", key), 0)) for key in keys})


def rewind(admin: "redis.Redis", taken: Snapshot) -> None:
    """Lose what was written since; the server's history gets another identity.

    Other clients' connections for commands break, as at a failover; subscriptions stay.
    """
    run: Callable[..., Any] = admin.execute_command
    run("FLUSHALL")
    for key, (value, expires) in taken.keys.items():
        run("RESTORE", key, expires, value, "ABSTTL")
    # A server takes another replication id when it is promoted.
    run("REPLICAOF", "127.0.0.1", "1")
    run("REPLICAOF", "NO", "ONE")
    run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
