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


def test_jobs_go_to_their_dead_letter_queue_as_the_catalog_says() -> None:
    attributes = JOBS.attributes()
    assert attributes["VisibilityTimeout"] == str(catalog.JOBS.visibility_s)
    assert json.loads(attributes["RedrivePolicy"]) == {
        "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:jobs-dlq",
        "maxReceiveCount": catalog.JOBS.max_receives,
    }
    assert "FifoQueue" not in attributes


def test_history_is_fifo() -> None:
    assert HISTORY.attributes()["FifoQueue"] == "true"
    assert HISTORY.attributes()["VisibilityTimeout"] == str(catalog.HISTORY.visibility_s)


@pytest.mark.parametrize("queue", [JOBS_DEAD, JOBS_PARKED], ids=lambda queue: queue.name)
def test_a_queue_of_dead_letters_has_none_itself(queue: Queue) -> None:
    attributes = queue.attributes()
    assert "RedrivePolicy" not in attributes
    assert attributes["VisibilityTimeout"] == str(catalog.DEAD_LETTER_VISIBILITY_S)


def test_all_queues_of_the_catalog_are_there() -> None:
    names = {
        name
        for queue in catalog.QUEUES
        for name in (queue.name, queue.dead_letter, queue.operator_queue)
    }
    assert {queue.name for queue in QUEUES} == names


def test_dead_letter_queues_are_defined_before_those_that_name_them() -> None:
    names = [definition["name"] for definition in definitions(QUEUES)]
    for queue in QUEUES:
        if queue.dead_letter:
            assert names.index(queue.dead_letter) < names.index(queue.name)


def test_url() -> None:
    assert queue_url("http://127.0.0.1:1", JOBS) == "http://127.0.0.1:1/000000000000/jobs"
