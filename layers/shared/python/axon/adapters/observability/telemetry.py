"""Telemetry of a function besides its log: counts, and its part of a trace."""

import os
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE = "Axon"

Handler = Callable[[dict[str, Any], object], dict[str, Any]]


class Telemetry:
    """CloudWatch counts by lines of the log (EMF), and X-Ray by Lambda's own daemon.

    Where there is no daemon there are no traces, and what makes them is not imported. Counts are
    turned off by ``POWERTOOLS_METRICS_DISABLED``, traces by ``POWERTOOLS_TRACE_DISABLED``.
    """

    def __init__(self, *, service: str) -> None:
        self._metrics: Metrics | None = None
        if not _is_set("POWERTOOLS_METRICS_DISABLED"):
            self._metrics = Metrics(namespace=NAMESPACE, service=service)
        self._tracer: Tracer | None = None
        if "AWS_XRAY_DAEMON_ADDRESS" in os.environ and not _is_set("POWERTOOLS_TRACE_DISABLED"):
            self._tracer = Tracer(service=service, auto_patch=False)

    def count(self, name: str, value: int = 1, **dimensions: str) -> None:
        """Add to a count, which CloudWatch keeps apart by the dimensions."""
        if self._metrics is None:
            return
        for dimension in dimensions.items():
            self._metrics.add_dimension(*dimension)
        self._metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
        self._metrics.flush_metrics()

    def annotate(self, **annotations: str) -> None:
        """Add to the handler's part of the trace what it can be found by."""
        if self._tracer is not None:
            for annotation in annotations.items():
                self._tracer.put_annotation(*annotation)

    def traced(self, handler: Handler) -> Handler:
        """Return the handler with a part of the trace of its own."""
        if self._tracer is None:
            return handler
        traced: Handler = self._tracer.capture_lambda_handler(handler, capture_response=False)
        return traced


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true")
