"""Refusals of Valkey: the reaction to each of its error codes.

The codes are those of Valkey 8 and 9 (`server.c`, `cluster.c`). A code that is not listed is an
error of Axon's own, such as a wrong type, and reaches the caller as it is.
"""

from enum import Enum, auto

from redis.exceptions import RedisError


class Refusal(Enum):
    """The reaction to a command that the server has refused; a refused command has no effect."""

    RECONNECT = auto()
    """The connection leads to the wrong server, or no longer has a login: close it, resolve the
    address again, and repeat the command there."""
    REPEAT = auto()
    """The server cannot take the command at the moment: repeat it after a pause."""
    FULL = auto()
    """The server has no memory left. A repetition a moment later would find the same."""


_REFUSALS = {
    # A failover has made the server a replica. It answers on for as long as the connection is used,
    # so that without closing it every call would fail until the server is stopped.
    "READONLY": Refusal.RECONNECT,
    "MASTERDOWN": Refusal.RECONNECT,
    # In cluster mode the key has moved. Axon runs without cluster mode, so the address is wrong.
    "MOVED": Refusal.RECONNECT,
    "ASK": Refusal.RECONNECT,
    "REDIRECT": Refusal.RECONNECT,
    # The user's password was replaced, or the user was: a new connection logs in again.
    "NOAUTH": Refusal.RECONNECT,
    "WRONGPASS": Refusal.RECONNECT,
    # A server that has restarted reads its data.
    "LOADING": Refusal.REPEAT,
    "BUSY": Refusal.REPEAT,
    "CLUSTERDOWN": Refusal.REPEAT,
    "TRYAGAIN": Refusal.REPEAT,
    # It cannot write to its disk, or has fewer replicas than `min-replicas-to-write`. It takes
    # writes again when that has changed.
    "MISCONF": Refusal.REPEAT,
    "NOREPLICAS": Refusal.REPEAT,
    # NOPERM is not here: another connection, and a later one, has the same permissions. Code and
    # access string differ in version then, and the alarm on CommandAuthorizationFailures says so.
    "OOM": Refusal.FULL,
}


def refusal_of(error: RedisError) -> Refusal | None:
    """Return the reaction to an error that the server has answered; None: it is the caller's."""
    # redis-py knows some codes, and leaves the others at the beginning of the text.
    code = error.status_code or str(error).partition(" ")[0]
    return _REFUSALS.get(code)
