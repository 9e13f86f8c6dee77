"""Event source mappings: move messages from a queue to a function."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from local.lambda_service.config import EventSourceConfig
from local.lambda_service.invocation import Outcome
from local.lambda_service.sqs_client import SqsError, SqsQueue
from local.lambda_service.sqs_events import batch_event, succeeded

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0

Invoke = Callable[[bytes], asyncio.Future[Outcome]]


class EventSource:
    """One mapping: polls, invokes, deletes what succeeded; the rest is delivered again by SQS.

    A poller finishes a batch before it receives the next. Several pollers keep the order within a
    FIFO message group: SQS withholds a group while messages of it are in flight.
    """

    def __init__(
        self,
        *,
        config: EventSourceConfig,
        queue: SqsQueue,
        invoke: Invoke,
        region: str,
        account_id: str,
    ) -> None:
        self._config = config
        self._queue = queue
        self._invoke = invoke
        self._region = region
        self._arn = f"arn:aws:sqs:{region}:{account_id}:{config.queue_name}"
        self._stopping = asyncio.Event()
        self._pollers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start polling."""
        loop = asyncio.get_running_loop()
        self._pollers = [loop.create_task(self._poll()) for _ in range(self._config.concurrency)]

    async def stop(self) -> None:
        """Stop polling; wait until the batches that were received are finished."""
        self._stopping.set()
        await asyncio.gather(*self._pollers, return_exceptions=True)

    def cancel(self) -> None:
        """Cancel the batches that `stop` waits for."""
        for poller in self._pollers:
            poller.cancel()

    async def _poll(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                await self._run_batch()
                pause_s = FIRST_PAUSE_S
            # A poller must survive everything: without it the queue is served no more.
            except Exception as error:
                if pause_s == FIRST_PAUSE_S:
                    unexpected = not isinstance(error, SqsError)
                    name = self._config.queue_name
                    logger.warning("event source %s: %s", name, error, exc_info=unexpected)
                await self._unless_stopping(asyncio.sleep(pause_s))
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _run_batch(self) -> None:
        receive = self._queue.receive(limit=self._config.batch_size, wait_s=self._config.wait_s)
        messages = await self._unless_stopping(receive)
        if not messages:
            return
        event = batch_event(messages, queue_arn=self._arn, region=self._region)
        outcome = await self._invoke(json.dumps(event).encode())
        if outcome.failed:
            logger.warning("event source %s: the batch failed", self._config.queue_name)
            return
        partial = self._config.report_batch_item_failures
        done = succeeded(messages, outcome.payload, partial=partial)
        if len(done) < len(messages):
            left = len(messages) - len(done)
            logger.warning("event source %s: %d messages left", self._config.queue_name, left)
        if done:
            await self._queue.delete([message["ReceiptHandle"] for message in done])

    async def _unless_stopping(self, awaitable: Any) -> Any:
        """Return the result, or None as soon as the source stops."""
        task = asyncio.ensure_future(awaitable)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            stopping.cancel()
