"""`python -m local.gateway --config FILE`."""

import asyncio
import logging
import sys

from local.gateway.config import GatewayConfig
from local.gateway.server import Gateway
from local.service_main import run

logger = logging.getLogger("gateway")


async def _serve(config: GatewayConfig, stop: asyncio.Event) -> None:
    gateway = Gateway(config=config)
    port, management_port = await gateway.start()
    logger.info("listening on 127.0.0.1:%d, management on 127.0.0.1:%d", port, management_port)
    await stop.wait()
    await gateway.stop()


if __name__ == "__main__":
    sys.exit(run("gateway", GatewayConfig, _serve))
