"""Sending on a connection to Valkey, and `Replies`: what arrives on it, in order."""

import asyncio
from typing import Any, cast

import hiredis
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as ValkeyConnectionError

_READ_BYTES = 64 * 1024


async def send(connection: AbstractConnection, packed: bytes) -> None:
    """Send packed commands.

    Raises
    ------
    redis.exceptions.ConnectionError
        The connection has ended.
    """
    try:
        await connection.send_packed_command(packed, check_health=False)
    except RuntimeError as error:
        # uvloop's, for a connection that has ended and was not read since. redis-py lets it pass,
        # and nobody would connect again.
        raise ValkeyConnectionError(f"the connection has ended: {error}") from error


class Replies:
    """Reads the answers and publications that a connection receives.

    redis-py does more for each of them than parse it: among others it makes a text of each
    publication, for a log line that nobody sees. This uses its buffer and its parser, so it may
    take turns with redis-py's own reading.

    Parameters
    ----------
    connection : AbstractConnection
        Connected; another object is needed once it has connected again.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        # redis-py has no public place between the two.
        self._stream: asyncio.StreamReader = cast("Any", connection)._reader  # noqa: SLF001
        self._parser: hiredis.Reader = cast("Any", connection)._parser._reader  # noqa: SLF001

    async def next(self) -> Any:
        """Return the next reply; an error that the server tells is returned as well.

        Raises
        ------
        redis.exceptions.ConnectionError
            The connection has ended.
        """
        while (reply := self._parser.gets()) is NOT_ENOUGH_DATA:
            try:
                data = await self._stream.read(_READ_BYTES)
            except OSError as error:
                raise ValkeyConnectionError(f"the connection is broken: {error!r}") from error
            if not data:
                raise ValkeyConnectionError("the server has closed the connection")
            self._parser.feed(data)
        return reply
