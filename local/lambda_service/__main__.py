"""`python -m local.lambda_service --config FILE`."""

import asyncio
import logging
import sys

from local.lambda_service.config import LambdaServiceConfig
from local.lambda_service.service import LambdaService
from local.service_main import run

logger = logging.getLogger("lambda")


async def _serve(config: LambdaServiceConfig, stop: asyncio.Event) -> None:
    service = LambdaService(config=config)
    port = await service.start()
    logger.info("listening on 127.0.0.1:%d", port)
    await stop.wait()
    await service.stop()


if __name__ == "__main__":
    sys.exit(run("lambda service", LambdaServiceConfig, _serve))
