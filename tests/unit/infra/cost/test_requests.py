from typing import Any

import pytest

from infra.cost.assumptions import Assumptions
from infra.cost.payloads import per_million_payloads
from infra.cost.requests import per_million, per_million_http
from infra.settings.environment import EnvironmentSettings
from tests.unit.infra.cost.price_samples import DOLLARS

SHORT = {"seconds": 0.1, "tokens": 100.0}
"""Three deltas, eleven events."""


def quantities(settings: dict[str, Any] | None = None, **assumed: float) -> dict[str, float]:
    environment = EnvironmentSettings.model_validate({"name": "test", **(settings or {})})
    made = per_million(environment, DOLLARS, Assumptions(**{**SHORT, **assumed}))
    assert made.missing == []
    return {line.what: line.quantity for line in made.lines}


def test_request_bill_of_the_gateway() -> None:
    found = quantities(connection_minutes=2.5)
    assert found["API Gateway: messages"] == 12
    assert found["API Gateway: connections"] == 2.5


def test_request_bill_of_functions() -> None:
    found = quantities(requests_per_connection=3, history_batch=2, function_ms=100)
    # One respond; authorizer, connect and disconnect for every third; half a write_history.
    assert found["Lambda: invocations"] == pytest.approx(1 + 3 / 3 + 0.5)
    # 512 MB each.
    assert found["Lambda: time"] == pytest.approx(2.5e6 * 0.5 * 0.1)


def test_request_bill_of_queues() -> None:
    inference = {"slots": 8}
    found = quantities({"inference": inference}, seconds=40, busy=0.5, history_batch=4)
    # Send, receive, delete; four heartbeats, each for four jobs.
    assert found["SQS: jobs"] == pytest.approx(3 + 1)
    assert found["SQS: fairness between tenants"] == 1
    assert found["SQS: history"] == pytest.approx(1 + 2 / 4)


def test_payload_bill_is_for_an_object_as_long_as_it_is_kept() -> None:
    lines = per_million_payloads(DOLLARS, Assumptions(payload_bytes=3e6, payload_days=2)).lines
    assert {line.what: line.quantity for line in lines} == {
        "S3: payloads that are put": 1,
        "S3: payloads that are read": 2,
        "S3: payloads that are kept": pytest.approx(3000 * 2 / 30),
    }


def test_request_bill_heartbeat_covers_at_most_ten_jobs() -> None:
    found = quantities({"inference": {"slots": 64}}, seconds=40, busy=1)
    assert found["SQS: jobs"] == pytest.approx(3 + 0.4)


def test_request_bill_of_nat() -> None:
    found = quantities(http_bytes=1000, request_bytes=2000)
    posts = 11 * (400 + 1000) + 4 * 5 * 100
    history = 1000 + 400 + 500
    jobs = 3 * 1000 + 2 * 2000
    assert found["NAT: data"] == pytest.approx((posts + history + jobs) / 1000)


def test_request_bill_of_logs_and_traces() -> None:
    found = quantities(
        {
            "observability": {
                "log_retention_days": 60,
                "opensearch_instance_type": "t3.small.search",
            }
        },
        log_bytes=3000,
        traced=0.1,
        requests_per_connection=3,
        history_batch=1,
    )
    assert found["Logs"] == 3
    assert found["Logs that are kept"] == 6
    assert found["Logs on their way to OpenSearch"] == 3
    assert found["Traces"] == pytest.approx(0.3)
    assert "Traces" not in quantities({"observability": {"tracing": False}})


def test_request_bill_of_worker_time() -> None:
    capacity = {"kind": "fargate", "cpu": 2048, "memory_mb": 4096}
    found = quantities({"inference": {"slots": 8, "capacity": capacity}}, seconds=7.2, busy=0.25)
    # A million answers of 7.2 s, two at a time: a thousand hours.
    workers = [amount for what, amount in found.items() if "workers" in what]
    assert workers == pytest.approx([1000 * 2, 1000 * 4])


def http_quantities(front: dict[str, Any], **assumed: float) -> dict[str, float]:
    environment = EnvironmentSettings.model_validate({"name": "test", "front": front})
    assumptions = Assumptions(**{**SHORT, **assumed})
    made = per_million_http(environment, DOLLARS, assumptions, front=environment.front)
    assert not [line.what for line in made.lines if line.what.startswith("API Gateway")]
    return {line.what: line.quantity for line in made.lines}


def test_request_bill_of_a_function_url() -> None:
    found = http_quantities({"home": "function"}, first_token_s=2, seconds=8, history_batch=2)
    assert found["Front function: invocations"] == 1
    # 256 MB for as long as an answer takes; it waits for the first token, too.
    assert found["Front function: time"] == pytest.approx(1e6 * 0.25 * (2 + 8))
    # Neither respond nor the functions of connections: history alone.
    assert found["Lambda: invocations"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("assumed", "units"),
    [
        # The largest of: bytes, 1 GB each; 3,000 connections an hour; 25 new ones a second.
        ({"http_bytes": 1e6, "request_bytes": 1e6}, (2e6 + 11 * 400 + 4 * 500) / 1e3),
        (
            {"first_token_s": 3600.0, "seconds": 0.0, "http_bytes": 0, "request_bytes": 0},
            1e6 / 3000,
        ),
        ({"requests_per_connection": 0.01}, 1e6 * 100 / 25 / 3600),
    ],
)
def test_request_bill_of_a_balancer_counts_its_largest_dimension(
    assumed: dict[str, float], units: float
) -> None:
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    front = {"home": "balancer", "certificate_arn": arn, "requests_per_task": 100}
    found = http_quantities(front, **assumed)
    assert found["Load balancer: capacity units"] == pytest.approx(units)


def test_request_bill_over_http_has_no_posts_through_nat() -> None:
    found = http_quantities({"home": "function"}, http_bytes=1000, request_bytes=2000)
    assert found["NAT: data"] == pytest.approx(((1000 + 400 + 500) + 3 * 1000 + 2 * 2000) / 1000)
