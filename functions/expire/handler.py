"""Deletes conversations that nobody has used for their tenant's time; invoked by a schedule."""

import os
from typing import Any

from axon.adapters.observability.function_logs import function_logger
from axon.adapters.observability.telemetry import Telemetry
from axon.adapters.postgres.pool import create_pool
from axon.adapters.postgres.retention import PostgresRetention
from axon.catalog import FUNCTIONS
from axon.lambdas import Event, run
from axon.retention import RetentionSweep
from axon.settings import ExpireSettings

logger = function_logger("expire")
TELEMETRY = Telemetry(service="expire")
SETTINGS = ExpireSettings.from_environ(os.environ)
SWEEP = RetentionSweep(
    store=PostgresRetention(pool=create_pool(SETTINGS, max_size=1)),
    default_days=SETTINGS.retention_days,
)
WITHIN_S = 0.75 * FUNCTIONS["expire"].timeout_s
"""The rest is for the last batch."""


@TELEMETRY.traced
def handler(_event: Event, _context: object) -> dict[str, Any]:
    """Delete what has expired; return the numbers of responses and conversations."""
    expired = run(SWEEP.run(within_s=WITHIN_S))
    TELEMETRY.count("responses_expired", expired.responses)
    counts = {"responses": expired.responses, "conversations": expired.conversations}
    logger.info("expired", extra=counts)
    return counts
