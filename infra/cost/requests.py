"""The bills of a million requests over WebSocket and over HTTP, on top of the idle month."""

from collections.abc import Mapping

from axon.catalog import FUNCTIONS, JOBS
from infra.cost.assumptions import EVENT_BYTES, TEXT_EVENTS, Assumptions
from infra.cost.bill import Bill
from infra.cost.front import add_answers
from infra.cost.prices import Prices
from infra.cost.workers import add_workers
from infra.settings.environment import BalancedFront, EnvironmentSettings, FunctionFront

MILLION = 1e6
GB = 1e9

JOB_CALLS = 3
"""SQS calls for one job: send, receive, delete."""


def per_million(settings: EnvironmentSettings, prices: Prices, assumptions: Assumptions) -> Bill:
    """Return the bill of a million requests over API Gateway's WebSocket."""
    bill = Bill(prices)
    bill.add("API Gateway: messages", "apigateway/messages", assumptions.messages)
    bill.add("API Gateway: connections", "apigateway/minutes", assumptions.connection_minutes)
    runs = invocations(assumptions)
    nat_bytes = _post_bytes(assumptions) + _queue_bytes(assumptions)
    _add_answers(bill, settings, assumptions, runs=runs, nat_bytes=nat_bytes)
    return bill


def per_million_http(
    settings: EnvironmentSettings,
    prices: Prices,
    assumptions: Assumptions,
    *,
    front: BalancedFront | FunctionFront,
) -> Bill:
    """Return the bill of a million requests over HTTP to a home of the front.

    The front's own WebSocket costs the same as a stream behind a balancer.
    """
    bill = Bill(prices)
    add_answers(bill, settings, front, assumptions)
    runs = {"write_history": 1 / assumptions.history_batch}
    _add_answers(bill, settings, assumptions, runs=runs, nat_bytes=_queue_bytes(assumptions))
    return bill


def invocations(assumptions: Assumptions) -> dict[str, float]:
    """Return the number of invocations of each function for one request over WebSocket."""
    connecting = 1 / assumptions.requests_per_connection
    return {
        "authorizer": connecting,
        "connect": connecting,
        "disconnect": connecting,
        "respond": 1,
        "write_history": 1 / assumptions.history_batch,
    }


def _add_answers(
    bill: Bill,
    settings: EnvironmentSettings,
    assumptions: Assumptions,
    *,
    runs: Mapping[str, float],
    nat_bytes: float,
) -> None:
    """Add everything from the queue to the worker and back, and the invocations `runs`."""
    _functions(bill, settings, assumptions, runs)
    _queues(bill, settings, assumptions)
    bill.add("NAT: data", "nat/gb", nat_bytes * MILLION / GB)
    _logs(bill, settings, assumptions, runs)
    busy_s = assumptions.seconds / (settings.inference.slots * assumptions.busy)
    add_workers(bill, settings, assumptions, hours=MILLION * busy_s / 3600)


def _functions(
    bill: Bill,
    settings: EnvironmentSettings,
    assumptions: Assumptions,
    runs: Mapping[str, float],
) -> None:
    seconds = assumptions.function_ms / 1000
    memory = sum(count * FUNCTIONS[name].memory_mb / 1024 for name, count in runs.items())
    bill.add("Lambda: invocations", "lambda/requests", sum(runs.values()))
    bill.add(
        "Lambda: time", f"lambda/{settings.functions.architecture}", MILLION * memory * seconds
    )


def _queues(bill: Bill, settings: EnvironmentSettings, assumptions: Assumptions) -> None:
    # One ChangeMessageVisibilityBatch call covers up to ten jobs of a worker (SQS quota).
    held = min(max(settings.inference.slots * assumptions.busy, 1), 10)
    heartbeats = assumptions.seconds / (JOBS.visibility_s / 3) / held
    bill.add("SQS: jobs", "sqs/standard", JOB_CALLS + heartbeats)
    bill.add("SQS: fairness between tenants", "sqs/fair", 1)
    bill.add("SQS: history", "sqs/fifo", 1 + 2 / assumptions.history_batch)


def _post_bytes(assumptions: Assumptions) -> float:
    """Return the bytes of a response's events through NAT, by which relays reach API Gateway."""
    posts = assumptions.posts * (EVENT_BYTES + assumptions.http_bytes)
    return posts + TEXT_EVENTS * (assumptions.text_bytes - EVENT_BYTES)


def _queue_bytes(assumptions: Assumptions) -> float:
    """Return the bytes of one request to and from the queues, through NAT."""
    history = assumptions.http_bytes + assumptions.text_bytes
    jobs = JOB_CALLS * assumptions.http_bytes + 2 * assumptions.request_bytes
    return history + jobs


def _logs(
    bill: Bill,
    settings: EnvironmentSettings,
    assumptions: Assumptions,
    runs: Mapping[str, float],
) -> None:
    observability = settings.observability
    gb = assumptions.log_bytes * MILLION / GB
    bill.add("Logs", "logs/ingested", gb)
    bill.add("Logs that are kept", "logs/stored", gb * observability.log_retention_days / 30)
    if observability.opensearch_instance_type:
        bill.add("Logs on their way to OpenSearch", "firehose/gb", gb)
    if observability.tracing:
        traced = sum(runs.values()) * assumptions.traced
        bill.add("Traces", "xray/traces", traced)
