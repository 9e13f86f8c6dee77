"""The identity of a server's history, read on each new connection before any other command.

A replica that is promoted and a server that has started again take another replication id: both may
lack the newest writes. Scripts that write the event log get the id of the server that they reach.

A server also takes another id without any loss, when its first replica is attached after a start
(it makes its replication backlog then). So the id is read again every second on each connection:
otherwise processes that connected before and after would compare two ids of one server for ever.
"""

import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as ValkeyConnectionError
from redis.exceptions import ResponseError

QUESTION = ("INFO", "replication")
"""The command whose answer has the id."""

READ_AGAIN_S = 1.0
"""Seconds between two reads on a connection."""

UNKNOWN = ""
"""The generation of a server that does not tell it; it equals every other one."""


class FencedCommand(tuple[Any, ...]):
    """A command with `GENERATION` among its arguments."""

    __slots__ = ()

    def at(self, generation: str) -> tuple[Any, ...]:
        """Return the command as it is sent to a server of this generation."""
        return tuple([generation if part is GENERATION else part for part in self])


GENERATION = object()
"""An argument that stands for the generation of the server that the command is sent to.

It is replaced when the command is packed for a connection, not when it is issued: a command that is
repeated after a failover reaches another server, of another generation.
"""


class Generations:
    """The generation of each connection; `connected` is redis-py's `redis_connect_func`.

    Parameters
    ----------
    clock : Callable[[], float]
        Seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._generations: WeakKeyDictionary[AbstractConnection, str] = WeakKeyDictionary()
        self._read_at: WeakKeyDictionary[AbstractConnection, float] = WeakKeyDictionary()
        self._clock = clock

    def of(self, connection: AbstractConnection | None) -> str:
        """Return the generation of the server that a connection was last connected to."""
        return self._generations.get(connection, UNKNOWN) if connection else UNKNOWN

    async def connected(self, connection: AbstractConnection) -> None:
        """Log in, and read the server's generation.

        Raises
        ------
        redis.exceptions.ConnectionError
            The server is a replica: it has its primary's id until it is promoted, so what is
            written after that would count as the former history.
        """
        await connection.on_connect()
        await connection.send_command(*QUESTION)
        await self.read(connection)

    def due(self, connection: AbstractConnection) -> bool:
        """Return whether the generation is to be read again on this connection."""
        return self._clock() - self._read_at.get(connection, 0.0) >= READ_AGAIN_S

    async def read(self, connection: AbstractConnection) -> None:
        """Read the answer to `QUESTION`, which was sent on the connection.

        Raises
        ------
        redis.exceptions.ConnectionError
            The server is a replica.
        """
        self._read_at[connection] = self._clock()
        self._generations[connection] = await _read(connection)


async def _read(connection: AbstractConnection) -> str:
    try:
        answer = await connection.read_response(disconnect_on_error=False)
    except ValkeyConnectionError:
        raise
    except ResponseError:  # a user of the version before may not ask
        return UNKNOWN
    lines = answer.decode() if isinstance(answer, bytes) else str(answer)
    fields = dict(line.split(":", 1) for line in lines.splitlines() if ":" in line)
    if fields.get("role", "master") != "master":
        raise ValkeyConnectionError("the server is a replica")
    return fields.get("master_replid", UNKNOWN)
