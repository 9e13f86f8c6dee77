"""Queues of the catalog: encrypted, TLS only, each with a dead-letter queue and alarms."""

from typing import Any

import pytest
from aws_cdk.assertions import Template

from axon import catalog
from tests.infra.conftest import Templates
from tests.infra.support.templates import listed, resources, text

FOURTEEN_DAYS_S = 14 * 24 * 3600


@pytest.fixture
def messaging(dev: Templates) -> Template:
    return dev["messaging"]


def queues(template: Template) -> dict[str, dict[str, Any]]:
    """Return the queues by their names in the catalog."""
    return {
        queue["QueueName"].removeprefix("axon-dev-"): {**queue, "id": name}
        for name, queue in resources(template, "AWS::SQS::Queue").items()
    }


def test_queues_are_those_of_the_catalog(messaging: Template) -> None:
    last = {name for queue in catalog.QUEUES for name in (queue.dead_letter, queue.operator_queue)}
    assert set(queues(messaging)) == {queue.name for queue in catalog.QUEUES} | last
    visibility = {name: each["VisibilityTimeout"] for name, each in queues(messaging).items()}
    assert visibility == {
        **{queue.name: queue.visibility_s for queue in catalog.QUEUES},
        **dict.fromkeys(last, catalog.DEAD_LETTER_VISIBILITY_S),
    }


def test_queues_are_encrypted_with_the_key_and_keep_messages_as_long_as_sqs_allows(
    messaging: Template,
) -> None:
    for queue in queues(messaging).values():
        assert text(queue["KmsMasterKeyId"]).startswith("{axon-dev-data:ExportsOutputFnGetAttKey")
        assert queue["MessageRetentionPeriod"] == FOURTEEN_DAYS_S
        assert queue["MaximumMessageSize"] == 1024 * 1024


def test_queues_require_tls(messaging: Template) -> None:
    refusing = {
        text(queue)
        for policy in resources(messaging, "AWS::SQS::QueuePolicy").values()
        for queue in policy["Queues"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
        and statement["Action"] == "sqs:*"
        and statement["Principal"] == {"AWS": "*"}
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert refusing == {f"{{{queue['id']}}}" for queue in queues(messaging).values()}


@pytest.mark.parametrize("definition", catalog.QUEUES, ids=lambda queue: queue.name)
def test_queues_have_their_own_dead_letter_queue(
    messaging: Template, definition: catalog.Queue
) -> None:
    queue, dead = queues(messaging)[definition.name], queues(messaging)[definition.dead_letter]
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": [dead["id"], "Arn"]},
        "maxReceiveCount": definition.max_receives,
    }
    allowed = dead["RedriveAllowPolicy"]
    assert allowed["redrivePermission"] == "byQueue"
    assert [text(arn).split(":")[-1] for arn in listed(allowed["sourceQueueArns"])] == [
        f"axon-dev-{definition.name}"
    ]
    assert "RedrivePolicy" not in dead


def test_parked_queue_is_no_redrive_target(messaging: Template) -> None:
    assert catalog.JOBS.operator_queue == "jobs-parked"
    parked = queues(messaging)[catalog.JOBS.operator_queue]
    assert parked["RedriveAllowPolicy"] == {"redrivePermission": "denyAll"}
    assert "RedrivePolicy" not in parked
    assert catalog.HISTORY.operator_queue == catalog.HISTORY.dead_letter


@pytest.mark.parametrize("name", [catalog.HISTORY.name, catalog.HISTORY.dead_letter])
def test_history_queue_is_fifo_with_high_throughput(messaging: Template, name: str) -> None:
    queue = queues(messaging)[name]
    assert queue["FifoQueue"] is True
    assert queue["DeduplicationScope"] == "messageGroup"
    assert queue["FifoThroughputLimit"] == "perMessageGroupId"
    # Two equal messages are two messages: who sends one names it.
    assert not queue.get("ContentBasedDeduplication")


@pytest.mark.parametrize(
    "name", [catalog.JOBS.name, catalog.JOBS.dead_letter, catalog.JOBS.operator_queue]
)
def test_jobs_queue_is_a_standard_queue(messaging: Template, name: str) -> None:
    assert not {"FifoQueue", "DeduplicationScope"} & set(queues(messaging)[name])


@pytest.mark.parametrize("source", catalog.EVENT_SOURCES, ids=lambda source: source.queue)
def test_queue_visibility_timeout_is_at_least_the_timeout_of_its_function(
    messaging: Template, source: catalog.EventSource
) -> None:
    visible_after_s = queues(messaging)[source.queue]["VisibilityTimeout"]
    assert visible_after_s >= catalog.FUNCTIONS[source.function].timeout_s


@pytest.mark.parametrize(
    ("alarm", "queue", "metric", "threshold"),
    [
        ("jobs-age", "jobs", "ApproximateAgeOfOldestMessage", 300),
        ("history-age", "history.fifo", "ApproximateAgeOfOldestMessage", 300),
        ("jobs-unserved", "jobs-dlq", "ApproximateAgeOfOldestMessage", 300),
        ("jobs-dead-letters", "jobs-parked", "ApproximateNumberOfMessagesVisible", 1),
        ("history-dead-letters", "history-dlq.fifo", "ApproximateNumberOfMessagesVisible", 1),
    ],
)
def test_messaging_alarms_watch_age_and_dead_letters(
    messaging: Template, alarm: str, queue: str, metric: str, threshold: int
) -> None:
    name = {"Fn::GetAtt": [queues(messaging)[queue]["id"], "QueueName"]}
    messaging.has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "AlarmName": f"axon-dev-{alarm}",
            "MetricName": metric,
            "Dimensions": [{"Name": "QueueName", "Value": name}],
            "Threshold": threshold,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        },
    )


def test_queues_are_kept_in_prod_and_removed_in_dev(dev: Templates, prod: Templates) -> None:
    for templates, policy in ((dev, "Delete"), (prod, "Retain")):
        found = templates["messaging"].find_resources("AWS::SQS::Queue").values()
        assert {queue["DeletionPolicy"] for queue in found} == {policy}
