"""An execution environment: a process with the runtime client and a Runtime API of its own."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from local.http.access import new_secret
from local.http.server import HOST, HttpServer
from local.lambda_service.function_logs import PrefixedLines
from local.lambda_service.invocation import Invocation
from local.lambda_service.runtime_api import RuntimeApi

logger = logging.getLogger(__name__)

_LAUNCHER = Path(__file__).with_name("launch.py")


class EnvironmentOwner(Protocol):
    """Is notified of an environment's changes."""

    def environment_idle(self, environment: "Environment") -> None:
        """Take note that the environment waits for an invocation."""

    def environment_ended(self, environment: "Environment") -> None:
        """Take note that the environment's process has ended."""


class Environment:
    """A process that runs one invocation at a time.

    States: starting (until the runtime first asks for an invocation), idle, busy, `ended`. If it
    ended during its start, `init_error` holds the JSON of the error.
    """

    def __init__(
        self,
        *,
        owner: EnvironmentOwner,
        name: str,
        arn: str,
        timeout_s: float,
        init_timeout_s: float,
    ) -> None:
        self._owner = owner
        self._name = name
        self._timeout_s = timeout_s
        self._init_timeout_s = init_timeout_s
        self._secret = new_secret()
        self._runtime = RuntimeApi(
            secret=self._secret,
            function_arn=arn,
            timeout_s=timeout_s,
            on_idle=self._on_idle,
            on_init_error=self._on_init_error,
        )
        self._server = HttpServer(handler=self._runtime.handle)
        self._timer: asyncio.TimerHandle | None = None
        self._pid: int | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self.started = False
        self.ended = False
        self.init_error: bytes | None = None

    async def listen(self) -> str:
        """Open the environment's Runtime API and return its `host:port/secret`."""
        return f"{HOST}:{await self._server.start()}/{self._secret}"

    async def start(
        self,
        *,
        handler: str,
        folder: Path,
        variables: Mapping[str, str],
        python: Path = Path(sys.executable),
    ) -> None:
        """Start the process; the owner is notified when it is idle and when it ends."""
        loop = asyncio.get_running_loop()
        lines = PrefixedLines(prefix=f"[{self._name}] ", sink=sys.stdout.buffer)
        transport, _ = await loop.subprocess_exec(
            lambda: _Process(self, lines),
            *(str(python), str(_LAUNCHER), str(os.getpid()), handler),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.STDOUT,
            cwd=folder,
            env=dict(variables),
            start_new_session=True,
        )
        self._transport, self._pid = transport, transport.get_pid()
        # The process may have been killed, or have asked for work, while it was being started.
        if self.ended:
            self.kill()
        elif not self.started:
            self._timer = loop.call_later(self._init_timeout_s, self._on_init_timeout)

    def submit(self, invocation: Invocation) -> bool:
        """Run an invocation in the idle environment; return False if its process is dead."""
        if not self._runtime.idle or self._is_dead():
            return False
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._timeout_s, self._on_timeout)
        self._runtime.submit(invocation)
        return True

    def _is_dead(self) -> bool:
        """Return whether the process has ended, by asking the kernel.

        The event loop may not have handled the process's end yet: an invocation given to a dead
        process would fail, though another environment could run it.
        """
        if self._pid is None or self._transport is None:
            return True
        if sys.platform != "linux":
            return self._transport.get_returncode() is not None
        try:
            return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def kill(self) -> None:
        """Kill the process and its descendants."""
        if self._pid is not None and not self._is_dead():
            os.killpg(self._pid, signal.SIGKILL)
        self.on_exit(None)

    def _on_idle(self) -> None:
        self._cancel_timer()
        self.started = True
        self._owner.environment_idle(self)

    def _on_init_error(self, error: bytes) -> None:
        self.init_error = error
        self.kill()

    def _on_init_timeout(self) -> None:
        self._on_init_error(
            _error("Sandbox.Timedout", f"Init timed out after {self._init_timeout_s:.2f} seconds")
        )

    def _on_timeout(self) -> None:
        if self._runtime.invocation is not None:
            message = f"Task timed out after {self._timeout_s:.2f} seconds"
            logger.warning("[%s] %s", self._name, message)
            self._runtime.invocation.fail_with("Sandbox.Timedout", message)
        self.kill()

    def on_exit(self, return_code: int | None) -> None:
        """Take note of the process's end, once; fail its invocation.

        Parameters
        ----------
        return_code : int | None
            Negative for a signal; None if the process was killed by `kill`.
        """
        if self.ended:
            return
        self.ended = True
        self._cancel_timer()
        self._server.close()
        reason = _exit_reason(return_code)
        if not self.started and self.init_error is None:
            self.init_error = _error("Runtime.ExitError", reason)
        if self._runtime.invocation is not None:
            self._runtime.invocation.fail_with("Runtime.ExitError", reason)
        if return_code is not None:
            logger.warning("[%s] environment %s ended: %s", self._name, self._pid, reason)
        self._owner.environment_ended(self)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Process(asyncio.SubprocessProtocol):
    def __init__(self, environment: Environment, lines: PrefixedLines) -> None:
        self._environment = environment
        self._lines = lines
        self._transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - one pipe
        self._lines.feed(data)

    def process_exited(self) -> None:
        code = self._transport.get_returncode() if self._transport else None
        self._environment.on_exit(code if code is not None else -1)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._lines.close()


def _error(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


def _exit_reason(return_code: int | None) -> str:
    if return_code is None or return_code == -signal.SIGKILL:
        return "Runtime exited with error: signal: killed"
    if return_code < 0:
        return f"Runtime exited with error: signal: {signal.Signals(-return_code).name}"
    if return_code > 0:
        return f"Runtime exited with error: exit status {return_code}"
    return "Runtime exited without providing a reason"
