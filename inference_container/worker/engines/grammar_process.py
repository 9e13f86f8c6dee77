"""The worker's side of the process that compiles formats; `grammar_server` documents its lines."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from axon.serialization import dumps, loads
from worker.engines.grammar_server import GrammarLimits
from worker.engines.protocol import EngineError

logger = logging.getLogger(__name__)

_START_S = 300.0
"""Seconds for the start: importing vLLM takes 10 s on a quiet machine."""
_END_S = 5.0
"""Seconds for the end of a process that was killed."""
_LINE_BYTES = 1 << 20


class FormatKilledError(Exception):
    """A format ended the process that compiled it, or outran it; the message says how."""


class _UsedUpError(Exception):
    """A child that was not started for this format has ended at it."""


class GrammarProcess:
    """A child process that compiles one format at a time, and starts again after its death.

    Parameters
    ----------
    command : Sequence[str]
        The child's command line.
    greeting : Callable[[], bytes]
        Returns the line that the child is sent first; empty for none.
    limits : GrammarLimits
        The limits of one format, as the command line has them.
    environment : Mapping[str, str]
        Variables of the child's environment, in addition to this process's.
    """

    def __init__(
        self,
        *,
        command: Sequence[str],
        greeting: Callable[[], bytes] = bytes,
        limits: GrammarLimits,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._greeting = greeting
        self._limits = limits
        self._environment = {**os.environ, **(environment or {})}
        self._child: asyncio.subprocess.Process | None = None

    async def compile(self, text_format: Mapping[str, Any]) -> str | None:
        """Compile a format; return why it is refused, None if it compiles.

        One call at a time: the child has one answer for each line. A format at which a child ends
        that was there before is compiled again by a new one: the end may be the fault of others.

        Raises
        ------
        FormatKilledError
            The format has ended the child, or took longer than its limit.
        EngineError
            The child does not start.
        """
        if self._living() is not None:
            with suppress(_UsedUpError):
                return await self._compile(text_format, used=True)
            logger.warning("a format is compiled again, by a new process")
        return await self._compile(text_format, used=False)

    async def close(self) -> None:
        """Kill the child, which has no state to save."""
        if (child := self._child) is not None:
            _kill(child)
            await self._end(child)

    def _living(self) -> asyncio.subprocess.Process | None:
        """Return the child; None if there is none, or it has ended between two formats."""
        if self._child is not None and self._child.returncode is not None:
            self._child = None
        return self._child

    async def _compile(self, text_format: Mapping[str, Any], *, used: bool) -> str | None:
        child = self._living() or await self._start()
        reply = await self._ask(child, dumps({"format": text_format}), within_s=self._limits.wall_s)
        if reply is None:
            outran = self._child is None  # a second time would keep the others waiting for nothing
            cause = _cause(await self._end(child))
            if used and not outran:
                raise _UsedUpError(cause)
            raise FormatKilledError(cause)
        reason: str | None = reply["refused"]
        if reply.get("ends"):
            await self._end(child)
            if used:
                raise _UsedUpError(reason)
        return reason

    async def _start(self) -> asyncio.subprocess.Process:
        greeting = self._greeting()
        self._child = child = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environment,
            limit=_LINE_BYTES,
        )
        if await self._ask(child, greeting, within_s=_START_S) is None:
            status = await self._end(child)
            raise EngineError(f"The process that compiles formats does not start: {status}.")
        return child

    async def _ask(
        self, child: asyncio.subprocess.Process, line: bytes, *, within_s: float
    ) -> dict[str, Any] | None:
        """Send a line; return the answer, None if the child ends or none came in time."""
        assert child.stdin is not None  # noqa: S101 - a pipe
        assert child.stdout is not None  # noqa: S101 - a pipe
        try:
            async with asyncio.timeout(within_s):
                if line:
                    child.stdin.write(line + b"\n")
                    await child.stdin.drain()
                reply: dict[str, Any] | None = loads(await child.stdout.readline() or b"null")
                return reply
        except ConnectionError:
            return None
        except BaseException as error:
            # Also if nobody waits any more: the child would answer the next line with this one's.
            self._child = None
            _kill(child)
            if isinstance(error, TimeoutError):
                return None
            raise

    async def _end(self, child: asyncio.subprocess.Process) -> int | None:
        """Wait for the end of a child that has closed its output; return its status.

        It is killed only if it does not end by itself: a signal to a process that has just ended
        would lose the status, by which the cause is known.
        """
        self._child = None
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                return await child.wait()
        logger.warning("a process that compiles formats does not end: it is killed")
        _kill(child)
        return None


def _kill(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        child.kill()


def _cause(status: int | None) -> str:
    if status in (None, -signal.SIGKILL, -signal.SIGXCPU):
        return "it takes too long, or too much memory, to compile"
    return "it makes the compiler fail"
