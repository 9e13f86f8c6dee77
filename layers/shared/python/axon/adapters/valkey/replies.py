"""Sending on a connection to Valkey, and `Replies`: what arrives on it, in order."""

import asyncio
from typing import Any, cast

import hiredis
from redis import __version__
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as ValkeyConnectionError

_READ_BYTES = 64 * 1024
_UNKNOWN = (
    f"redis-py {__version__} keeps its buffer or its parser in another place than the versions "
    "that Axon knows: install one that pyproject.toml allows, with hiredis."
)

try:
    from redis._parsers.hiredis import NOT_ENOUGH_DATA
except ImportError as error:
    raise ImportError(_UNKNOWN) from error


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

    Raises
    ------
    redis.exceptions.ConnectionError
        The connection has ended.
    RuntimeError
        This version of redis-py has not what is used here, or no hiredis. Each process connects at
        its start, so it is not an error of a later request.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        # redis-py has no public place between the two. The versions in pyproject.toml are those
        # that have these attributes; a new major version must be tried before it is allowed there.
        if not connection.is_connected:
            raise ValkeyConnectionError("the connection has ended")
        private = cast("Any", connection)
        stream = getattr(private, "_reader", None)
        parser = getattr(getattr(private, "_parser", None), "_reader", None)
        if not (isinstance(stream, asyncio.StreamReader) and isinstance(parser, hiredis.Reader)):
            raise RuntimeError(_UNKNOWN)  # noqa: TRY004 - of no argument, but of an installation
        self._stream, self._parser = stream, parser

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
