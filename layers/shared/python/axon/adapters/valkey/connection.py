"""One connection to Valkey on which batches of commands travel, without a pool's cost per batch."""

import asyncio
from collections.abc import Sequence
from typing import Any

from hiredis import PushNotification, pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as ValkeyConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as ValkeyTimeoutError

from axon.adapters.valkey.generation import QUESTION, FencedCommand, Generations
from axon.adapters.valkey.refusals import refusal_of
from axon.adapters.valkey.replies import Replies, send

Command = tuple[Any, ...]

# redis-py's pipelines take a connection from a pool, start a task for each write and read their own
# metrics for each batch: 134 us of CPU per command, of which this leaves 30 (2026-11-21). It packs
# an append in 22 us, in Python; hiredis, which it parses answers with, needs 3 (ADR 39).


class CommandConnection:
    """Sends one batch at a time. Any failure closes the connection; the next batch opens it.

    Parameters
    ----------
    redis : Redis
        Says how to connect, and how a command's answer is read.
    generations : Generations
        Reads the server's generation when the connection is made.
    timeout_s : float
        Seconds that a batch may take, connecting included.

    Attributes
    ----------
    generation : str
        The generation of the server that was last connected to; '' before the first time.
    """

    def __init__(self, redis: Redis, *, generations: Generations, timeout_s: float) -> None:
        pool = redis.connection_pool
        self._connection: AbstractConnection = pool.connection_class(
            **{**pool.connection_kwargs, "socket_timeout": None}
        )
        self._generations = generations
        self._callbacks = redis.response_callbacks
        self._timeout_s = timeout_s
        self.generation = ""

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers; one that the server refuses is answered by the error.

        Raises
        ------
        redis.exceptions.ConnectionError, redis.exceptions.TimeoutError
            It is not known which commands have had an effect.
        """
        connection = self._connection
        try:
            async with asyncio.timeout(self._timeout_s):
                if not connection.is_connected:
                    await connection.connect()  # type: ignore[no-untyped-call]
                    self.generation = self._generations.of(connection)
                # Only now is it certain which server gets the commands.
                sent = self._fenced(commands)
                asks = self._generations.due(connection)
                packed = b"".join(map(pack_command, [*sent, QUESTION] if asks else sent))
                await send(connection, packed)
                replies = Replies(connection)
                answers = [await self._answer(replies, command[0]) for command in commands]
                if asks:
                    await self._read_generation()
                return answers
        except TimeoutError as error:
            await self.close()
            raise ValkeyTimeoutError(f"no answer within {self._timeout_s:g} s") from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.disconnect(nowait=True)

    def _fenced(self, commands: Sequence[Command]) -> list[Command]:
        return [
            command.at(self.generation) if isinstance(command, FencedCommand) else command
            for command in commands
        ]

    async def _read_generation(self) -> None:
        try:
            await self._generations.read(self._connection)
            self.generation = self._generations.of(self._connection)
        except ValkeyConnectionError:
            # A replica now. The answers before are valid; the next batch connects again.
            await self.close()

    async def _answer(self, replies: Replies, name: str) -> Any:
        answer = await replies.next()
        while isinstance(answer, PushNotification):  # of the server's own accord, to no command
            answer = await replies.next()
        if isinstance(answer, RedisError):
            # For redis-py LOADING and NOAUTH are errors of the connection, too. It is left open
            # after an error that the server tells: the answers to other commands follow.
            if isinstance(answer, ValkeyConnectionError) and refusal_of(answer) is None:
                raise answer
            return answer
        callback = self._callbacks.get(name)
        return callback(answer) if callback else answer
