import json

import pytest

from axon import catalog
from local.services.queues import (
    HISTORY,
    JOBS,
    JOBS_DEAD,
    JOBS_PARKED,
    QUEUES,
    Queue,
    definitions,
    queue_url,
)


def test_queue_of_jobs_has_the_redrive_policy_of_the_catalog() -> None:
    attributes = JOBS.attributes()
    assert attributes["VisibilityTimeout"] == str(catalog.JOBS.visibility_s)
    assert json.loads(attributes["RedrivePolicy"]) == {
        "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:jobs-dlq",
        "maxReceiveCount": catalog.JOBS.max_receives,
    }
    assert "FifoQueue" not in attributes


def test_queue_of_history_is_fifo() -> None:
    assert HISTORY.attributes()["FifoQueue"] == "true"
    assert HISTORY.attributes()["VisibilityTimeout"] == str(catalog.HISTORY.visibility_s)


@pytest.mark.parametrize("queue", [JOBS_DEAD, JOBS_PARKED], ids=lambda queue: queue.name)
def test_dead_letter_queue_has_no_redrive_policy(queue: Queue) -> None:
    attributes = queue.attributes()
    assert "RedrivePolicy" not in attributes
    assert attributes["VisibilityTimeout"] == str(catalog.DEAD_LETTER_VISIBILITY_S)


def test_queues_are_those_of_the_catalog() -> None:
    names = {
        name
        for queue in catalog.QUEUES
        for name in (queue.name, queue.dead_letter, queue.operator_queue)
    }
    assert {queue.name for queue in QUEUES} == names


def test_queues_define_dead_letter_queues_first() -> None:
    names = [definition["name"] for definition in definitions(QUEUES)]
    for queue in QUEUES:
        if queue.dead_letter:
            assert names.index(queue.dead_letter) < names.index(queue.name)


def test_queue_url_is_that_of_fauxqs() -> None:
    assert queue_url("http://127.0.0.1:1", JOBS) == "http://127.0.0.1:1/000000000000/jobs"
