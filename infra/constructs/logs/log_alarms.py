"""Alarms on log forwarding: the domain's health, its free space, and events that do not arrive."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from infra.constructs.logs.log_forwarding import LogForwarding
from infra.constructs.logs.search_domain import STORAGE_GB, SearchDomain
from infra.constructs.observability.alarms import AT_MOST, Alarms

PERIOD = Duration.minutes(5)
LATE = Duration.minutes(15)


def watch_log_forwarding(alarms: Alarms, domain: SearchDomain, forwarding: LogForwarding) -> None:
    """Add the alarms on the domain and the forwarding; CloudWatch has the logs in any case."""
    alarms.on(
        domain.domain.metric_cluster_status_red(period=PERIOD, statistic="Maximum"),
        id="log-domain-red",
        threshold=1,
        description="The log domain has lost shards. See its cluster health, then its application "
        "log.",
    )
    alarms.on(
        # In MiB, of the node that has least.
        domain.domain.metric_free_storage_space(period=PERIOD, statistic="Minimum"),
        id="log-domain-storage",
        threshold=STORAGE_GB * 1024 // 10,
        comparison=AT_MOST,
        description="The log domain is nearly full, and soon refuses logs. Lower "
        "observability.log_retention_days, or add nodes.",
    )
    alarms.on(
        forwarding.splitter.metric_errors(period=PERIOD),
        id="log-splitter-errors",
        threshold=1,
        description="Log events do not get to Firehose: search the log of split-logs.",
    )
    alarms.on(
        cloudwatch.Metric(
            namespace="AWS/Firehose",
            metric_name="DeliveryToAmazonOpenSearchService.DataFreshness",
            dimensions_map={"DeliveryStreamName": forwarding.stream.ref},
            period=PERIOD,
            statistic="Maximum",
        ),
        id="log-delivery-late",
        threshold=LATE.to_seconds(),
        description="Logs reach the log domain late or not at all: see the log group "
        "observability/log-delivery.",
    )
