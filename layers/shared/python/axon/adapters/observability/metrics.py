"""Metrics of a long-running service, in Prometheus's text format."""

import prometheus_client
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""The format that every version of Prometheus and of its collectors reads."""


def new_registry() -> CollectorRegistry:
    """Return a registry with nothing in it."""
    # When a counter was made: a series more for each, which is paid for and which nobody reads.
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    return CollectorRegistry(auto_describe=True)


def exposition(registry: CollectorRegistry) -> bytes:
    """Return what the registry's metrics are now."""
    return generate_latest(registry)
