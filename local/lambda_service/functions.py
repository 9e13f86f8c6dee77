"""A function: its environments, and the invocations that wait for one."""

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Coroutine, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from local.lambda_service.config import EarlierCode, FunctionConfig, LambdaServiceConfig
from local.lambda_service.environment import Environment
from local.lambda_service.invocation import Invocation, Outcome
from local.lambda_service.variables import function_variables

logger = logging.getLogger(__name__)

WARM_RETRY_S = 1.0


class Function:
    """Runs each invocation in an environment that serves no other one meanwhile.

    The environment that became idle last is used first; without an idle one a new one is started,
    up to the function's limit.
    """

    def __init__(self, *, name: str, config: FunctionConfig, service: LambdaServiceConfig) -> None:
        self.arn = f"arn:aws:lambda:{service.region}:{service.account_id}:function:{name}"
        self._name = name
        self._config = config
        self._service = service
        self._codes = _codes(config, service)
        self._environments: set[Environment] = set()
        self._idle: list[Environment] = []
        self._waiting: deque[Invocation] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._outcomes: set[asyncio.Future[Outcome]] = set()
        self._closed = False
        self.warm = config.min_environments == 0

    def start(self) -> None:
        """Start the environments that are kept ready; repeated until the function is `warm`."""
        if self._closed or self.warm:
            return
        for _ in range(self._config.min_environments - len(self._environments)):
            self._launch(warmed_ahead=True)

    def close(self) -> None:
        """Kill every environment; running and waiting invocations fail."""
        self._closed = True
        for environment in tuple(self._environments):
            environment.kill()
        for task in self._tasks:
            task.cancel()
        while self._waiting:
            self._waiting.popleft().fail_with("Service.Stopped", "the service stops")

    async def drain(self) -> None:
        """Wait until no invocation runs or waits."""
        while self._outcomes:
            await asyncio.wait(self._outcomes)

    def counts(self) -> dict[str, int]:
        """Return the numbers of environments, of idle ones, and of invocations that run or wait."""
        return {
            "environments": len(self._environments),
            "idle": len(self._idle),
            "invocations": len(self._outcomes),
        }

    def invoke(self, payload: bytes) -> asyncio.Future[Outcome]:
        """Run the function; cancelling the future removes the invocation from the queue."""
        invocation = Invocation(payload, asyncio.get_running_loop().create_future())
        self._outcomes.add(invocation.outcome)
        invocation.outcome.add_done_callback(self._outcomes.discard)
        self._waiting.append(invocation)
        if self._closed:
            invocation.fail_with("Service.Stopped", "the service stops")
        self._dispatch()
        return invocation.outcome

    def _dispatch(self) -> None:
        while self._waiting and self._idle:
            invocation = self._waiting.popleft()
            if not invocation.outcome.done():
                self._hand_out(invocation)
        if self._waiting:
            self._grow()

    def _grow(self) -> None:
        # Environments that are starting will each take one of the waiting invocations.
        starting = sum(not environment.started for environment in self._environments)
        missing = len(self._waiting) - starting
        room = self._config.max_environments - len(self._environments)
        for _ in range(min(missing, room)):
            self._launch(warmed_ahead=False)

    def _hand_out(self, invocation: Invocation) -> None:
        environment = self._idle.pop()
        # A dead one has run nothing: the invocation keeps its place at the head of the queue.
        if not environment.submit(invocation):
            self._waiting.appendleft(invocation)
            environment.kill()

    def _launch(self, *, warmed_ahead: bool) -> None:
        environment = Environment(
            owner=self,
            name=self._name,
            arn=self.arn,
            timeout_s=self._config.timeout_s,
            init_timeout_s=self._service.init_timeout_s,
        )
        self._environments.add(environment)
        self._spawn(self._start(environment, warmed_ahead=warmed_ahead))

    async def _start(self, environment: Environment, *, warmed_ahead: bool) -> None:
        code = next(self._codes)
        config = self._config.model_copy(update={"folder": code.folder})
        try:
            variables = function_variables(
                name=self._name,
                config=config,
                region=self._service.region,
                layers=code.layers,
                runtime_api=await environment.listen(),
                warmed_ahead=warmed_ahead,
            )
            await environment.start(
                handler=config.handler,
                folder=code.folder,
                variables=variables,
                python=code.python,
            )
        except OSError:
            logger.exception("[%s] an environment did not start", self._name)
            environment.kill()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def environment_idle(self, environment: Environment) -> None:
        """Add an idle environment and give it an invocation, if one waits."""
        self._idle.append(environment)
        self._dispatch()
        if not self.warm:
            ready = sum(environment.started for environment in self._environments)
            self.warm = ready >= self._config.min_environments

    def environment_ended(self, environment: Environment) -> None:
        """Remove an environment; one that failed to start fails the next waiting invocation.

        Otherwise a function that cannot start would start environments for ever, while its callers
        wait until they time out.
        """
        self._environments.discard(environment)
        if environment in self._idle:
            self._idle.remove(environment)
        if environment.init_error is not None:
            logger.error("[%s] init failed: %s", self._name, environment.init_error.decode())
            self._fail_next(environment.init_error)
        if self._closed:
            return
        self._dispatch()
        if not self.warm:
            asyncio.get_running_loop().call_later(WARM_RETRY_S, self.start)

    def _fail_next(self, error: bytes) -> None:
        while self._waiting:
            invocation = self._waiting.popleft()
            if not invocation.outcome.done():
                invocation.fail(error)
                return


def _codes(config: FunctionConfig, service: LambdaServiceConfig) -> Iterator[EarlierCode]:
    """Return the code of one environment after the other."""
    own = EarlierCode(
        python=Path(sys.executable), folder=config.folder, layers=tuple(service.layers)
    )
    return cycle([own] if config.earlier is None else [config.earlier, own])
