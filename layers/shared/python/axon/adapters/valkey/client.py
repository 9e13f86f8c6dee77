"""Valkey: one connection on which concurrent commands travel together, and scripts from files."""

import asyncio
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from itertools import islice
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as ValkeyConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as ValkeyTimeoutError

from axon.adapters.aws.batching import Batcher
from axon.adapters.valkey.connection import Command, CommandConnection
from axon.adapters.valkey.generation import GENERATION, FencedCommand, Generations
from axon.adapters.valkey.login import login_of
from axon.adapters.valkey.refusals import Refusal, refusal_of
from axon.exceptions import StoreFullError, UnavailableError
from axon.retry import backoff
from axon.settings import ValkeySettings

_BATCH = 512
_ANSWER_S = 5.0
WHEN_FULL = "#!lua flags=allow-oom\n"
"""Makes Valkey (from 7.0 on) run a script whatever memory is used; without it, a script's first
write is refused with OOM."""
_REPETITIONS = 5
"""Repetitions of a refused command: 0.6 s on average. Who can wait longer retries the call."""


class Valkey:
    """A client for one event loop; the first command connects.

    Commands that are issued while others are under way go to the server in one write. Lost
    connections are retried: every script and command that Axon uses may be repeated without harm.

    Parameters
    ----------
    url : str
        ``redis://`` or, encrypted and the server's certificate verified, ``rediss://``.
    login : CredentialProvider | None
        Asked for user and password by each new connection; None: as the URL says.
    """

    def __init__(self, url: str, *, login: CredentialProvider | None = None) -> None:
        self.generations = Generations()
        self.redis: Redis = Redis.from_url(
            url,
            redis_connect_func=self.generations.connected,
            credential_provider=login,
            retry=_retry(),
            retry_on_error=[ValkeyConnectionError, ValkeyTimeoutError],
            socket_connect_timeout=2,
            socket_timeout=_ANSWER_S,
        )
        self._connection = CommandConnection(
            self.redis, generations=self.generations, timeout_s=_ANSWER_S
        )
        self._retry = _retry()
        self._commands: Batcher[Command, Any] = Batcher(self._send, size=_BATCH)

    @property
    def generation(self) -> str:
        """The generation of the server that commands were last sent to; '' while unknown.

        Another one means that the newest writes may be lost: see
        `axon.adapters.valkey.generation`.
        """
        return self._connection.generation

    async def call(self, *command: Any) -> Any:
        """Run a command; answers are as the server gives them, strings as bytes.

        Raises
        ------
        UnavailableError
            The server stayed away, or went on refusing commands for a reason of its own.
        StoreFullError
            The server has no memory left; the command has had no effect.
        redis.exceptions.ResponseError
            The command is wrong.
        """
        sent = FencedCommand(command) if GENERATION in command else command
        pauses = islice(backoff(longest_s=0.5), _REPETITIONS)
        while True:
            try:
                return await self._commands.submit(sent)
            except RedisError as error:
                refusal = refusal_of(error)
                if refusal is None:
                    raise
                if refusal is Refusal.FULL:
                    raise StoreFullError(f"Valkey: {error}") from error
                if (pause_s := next(pauses, None)) is None:
                    raise UnavailableError(f"Valkey: {error}") from error
            # Each command waits for itself, so that those which travelled with it do not.
            await asyncio.sleep(pause_s)

    async def now_ms(self) -> int:
        """Return the server's time, so that clocks need not agree."""
        seconds, microseconds = await self.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def close(self) -> None:
        """Close all connections."""
        await self._connection.close()
        await self.redis.aclose()

    async def _send(self, commands: Sequence[Command]) -> Sequence[Any]:
        try:
            answers = await self._retry.call_with_retry(
                lambda: self._connection.exchange(commands), _leave_closed
            )
        except (ValkeyConnectionError, ValkeyTimeoutError) as error:
            raise UnavailableError(f"Valkey: {error}") from error
        if any(_leads_elsewhere(answer) for answer in answers):
            await self._connection.close()
        return answers


def _retry() -> Retry:
    return Retry(ExponentialWithJitterBackoff(cap=1.0, base=0.02), 5)


def _leads_elsewhere(answer: Any) -> bool:
    """Return whether an answer shows that the connection must be made again."""
    return isinstance(answer, RedisError) and refusal_of(answer) is Refusal.RECONNECT


async def _leave_closed(_: Exception) -> None:
    """Do nothing: a connection that has failed is closed already."""


def create_valkey(settings: ValkeySettings) -> Valkey:
    """Return a client as the settings say.

    Raises
    ------
    SettingsError
        Half a login is set, or there are no AWS credentials for it.
    """
    return Valkey(settings.valkey_url, login=login_of(settings))


class Script:
    """``axon/lua/<name>.lua``, sent once; later calls name it by its hash.

    Parameters
    ----------
    valkey : Valkey
        Connections for commands; the caller closes them.
    name : str
        Name of the file.
    after : Sequence[str]
        Scripts whose functions this one uses.
    when_full : bool
        Run it also while Valkey has no memory left: for calls that free memory, or that write a few
        bytes without which nothing would ever free any (ADR 22).
    """

    def __init__(
        self, valkey: Valkey, name: str, *, after: Sequence[str] = (), when_full: bool = False
    ) -> None:
        self.name = name
        self._valkey = valkey
        folder = files("axon.adapters.valkey").joinpath("lua")
        source = "".join(folder.joinpath(f"{part}.lua").read_text() for part in (*after, name))
        self._source = WHEN_FULL + source if when_full else source
        self._sha = hashlib.sha1(self._source.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, *, keys: Sequence[str] = (), args: Sequence[Any] = ()) -> Any:
        """Run the script."""
        try:
            return await self._valkey.call("EVALSHA", self._sha, len(keys), *keys, *args)
        except NoScriptError:  # a server that has started since
            return await self._valkey.call("EVAL", self._source, len(keys), *keys, *args)
