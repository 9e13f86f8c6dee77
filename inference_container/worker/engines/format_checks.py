"""FormatChecks: verdicts on formats, before an engine compiles them for a request."""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

from axon.serialization import dumps
from axon.tasks import end
from worker.engines.grammar_process import FormatKilledError
from worker.engines.protocol import BusyError, RefusedError

logger = logging.getLogger(__name__)

_KEPT = 1024
"""Verdicts that are kept, those used last."""
_MOST_FORMATS = 16
"""Formats that are compiled or wait for it; each takes a minute on a child, and at most two."""
_MOST_REQUESTS = 4
"""Requests that wait for verdicts, if the engine's slots are not known."""
_WAIT_S = 25.0
"""Seconds for which a request waits for the verdict; then the job waits in the queue."""
_RETRY_S = 5.0


class FormatCompiler(Protocol):
    """Compiles formats, one at a time (`GrammarProcess`)."""

    async def compile(self, text_format: Mapping[str, Any]) -> str | None:
        """Compile a format; return why it is refused, None if it compiles.

        Raises
        ------
        FormatKilledError
            The format has ended the compiler, or outran it.
        EngineError
            The compiler does not start.
        """
        ...

    async def close(self) -> None:
        """End the compiler."""
        ...


class FormatChecks:
    """Lets a format reach the engine only after it was compiled in an expendable process.

    A verdict is final here: a format that killed the compiler would kill the next one, too.
    A request that waits for one holds its job's place in the worker, so few may wait.

    Parameters
    ----------
    compiler : FormatCompiler
        Compiles a format whose verdict is not known.
    slots : int | None
        The engine's slots, a quarter of which is the number of requests that may wait (at least
        one); None if they are not known.
    wait_s : float
        Seconds for which a request waits for a verdict.
    """

    def __init__(
        self, compiler: FormatCompiler, *, slots: int | None = None, wait_s: float = _WAIT_S
    ) -> None:
        self._compiler = compiler
        self._most_requests = _MOST_REQUESTS if slots is None else max(1, slots // 4)
        self._requests = 0
        self._wait_s = wait_s
        self._turn = asyncio.Lock()
        self._verdicts: OrderedDict[bytes, str | None] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[str | None]] = {}

    def start(self) -> None:
        """Start the compiler, without waiting for it, so that no request has to."""
        text_format = {"type": "json_object"}
        self._task(_digest(text_format), text_format)

    async def check(self, text_format: Mapping[str, Any]) -> None:
        """Wait until a format has been compiled once.

        Raises
        ------
        RefusedError
            It cannot be compiled, or not within the limits.
        BusyError
            Others are compiled first, or as many requests wait as may.
        EngineError
            The compiler does not start.
        """
        reason = await self._verdict(text_format)
        if reason is not None:
            raise RefusedError(
                f"The model cannot answer in 'text.format' '{_name(text_format)}': {reason}. "
                "Simplify its schema."
            )

    async def close(self) -> None:
        """End the compiler, and what waits for it."""
        await end(*self._running.values())
        await self._compiler.close()

    async def _verdict(self, text_format: Mapping[str, Any]) -> str | None:
        key = _digest(text_format)
        if key in self._verdicts:
            self._verdicts.move_to_end(key)
            return self._verdicts[key]
        if key not in self._running and len(self._running) >= _MOST_FORMATS:
            raise BusyError("too many formats are to be compiled", retry_after_s=_RETRY_S)
        # Requests and not formats: many with one slow format would hold as many places.
        if self._requests >= self._most_requests:
            raise BusyError("too many requests wait for their formats", retry_after_s=_RETRY_S)
        self._requests += 1
        try:
            async with asyncio.timeout(self._wait_s):
                # Shielded: others may wait for the same format, and a verdict is worth having even
                # if the client has gone. Cancelled, it would cost the process.
                return await asyncio.shield(self._task(key, text_format))
        except TimeoutError as error:
            raise BusyError("formats are being compiled", retry_after_s=_RETRY_S) from error
        finally:
            self._requests -= 1

    def _task(self, key: bytes, text_format: Mapping[str, Any]) -> asyncio.Task[str | None]:
        """Return the task that compiles a format, a new one unless there is one."""
        if key not in self._running:
            self._running[key] = task = asyncio.create_task(self._compile(key, text_format))
            task.add_done_callback(lambda ended: self._forget(key, ended))
        return self._running[key]

    def _forget(self, key: bytes, task: asyncio.Task[str | None]) -> None:
        del self._running[key]
        # All who waited may have gone: the error is retrieved and logged here.
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a format was not compiled: %s", error)

    async def _compile(self, key: bytes, text_format: Mapping[str, Any]) -> str | None:
        async with self._turn:
            try:
                reason = await self._compiler.compile(text_format)
            except FormatKilledError as error:
                reason = str(error)
                logger.warning("a format was refused (digest %s): %s", key.hex()[:12], reason)
                self.start()  # again, before the next format needs it
        self._verdicts[key] = reason
        if len(self._verdicts) > _KEPT:
            self._verdicts.popitem(last=False)
        return reason


def _digest(text_format: Mapping[str, Any]) -> bytes:
    """Return the digest of what is compiled: names and descriptions of formats are not."""
    compiled = {name: text_format.get(name) for name in ("type", "schema")}
    return hashlib.sha256(dumps(compiled)).digest()


def _name(text_format: Mapping[str, Any]) -> str:
    return str(text_format.get("name") or text_format.get("type"))
