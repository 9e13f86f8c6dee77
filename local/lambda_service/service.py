"""Composition root of the Lambda service: functions, their API and their event sources."""

import asyncio

from local.http.access import Access
from local.http.server import HttpServer
from local.lambda_service.config import EventSourceConfig, LambdaServiceConfig
from local.lambda_service.event_sources import EventSource
from local.lambda_service.functions import Function
from local.lambda_service.invoke_api import HEALTH, InvokeApi
from local.lambda_service.schedules import Schedule
from local.lambda_service.sqs_client import SqsQueue


class LambdaService:
    """The functions and event sources of one configuration."""

    def __init__(self, *, config: LambdaServiceConfig) -> None:
        self._config = config
        self._functions = {
            name: Function(name=name, config=function, service=config)
            for name, function in config.functions.items()
        }
        access = Access(token=config.token, open_paths=frozenset({HEALTH}))
        self._api = InvokeApi(
            functions=self._functions,
            event_retry_delays_s=config.event_retry_delays_s,
            access=access,
        )
        self._server = HttpServer(handler=self._api.handle, access=access)
        self._queues: list[SqsQueue] = []
        self._sources: list[EventSource] = []
        self._schedules = [
            Schedule(config=schedule, invoke=self._functions[schedule.function].invoke)
            for schedule in config.schedules
        ]

    async def start(self) -> int:
        """Listen, start environments, start polling; return the port.

        Raises
        ------
        OSError
            The port is taken.
        """
        port = await self._server.start(port=self._config.port)
        for function in self._functions.values():
            function.start()
        self._sources = [self._source(config) for config in self._config.event_sources]
        for source in self._sources:
            source.start()
        for schedule in self._schedules:
            schedule.start()
        return port

    def _source(self, config: EventSourceConfig) -> EventSource:
        queue = SqsQueue(
            queue_url=config.queue_url, region=self._config.region, token=self._config.token
        )
        self._queues.append(queue)
        return EventSource(
            config=config,
            queue=queue,
            invoke=self._functions[config.function].invoke,
            region=self._config.region,
            account_id=self._config.account_id,
        )

    async def stop(self) -> None:
        """Stop: wait up to `stop_timeout_s` for invocations, then kill every environment."""
        self._server.stop_listening()
        for schedule in self._schedules:
            schedule.stop()
        self._api.close()
        try:
            async with asyncio.timeout(self._config.stop_timeout_s):
                await asyncio.gather(*(source.stop() for source in self._sources))
                for function in self._functions.values():
                    await function.drain()
        except TimeoutError:
            for source in self._sources:
                source.cancel()
        for function in self._functions.values():
            function.close()
        for _ in ("outcomes become responses", "responses are written"):
            await asyncio.sleep(0)
        self._server.close()
        for queue in self._queues:
            queue.close()
