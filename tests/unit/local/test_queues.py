import json

from local.queues import HISTORY, JOBS, JOBS_DEAD, QUEUES, definitions, queue_url


def test_jobs_go_to_their_dead_letter_queue_after_three_tries() -> None:
    attributes = JOBS.attributes()
    assert attributes["VisibilityTimeout"] == "30"
    assert json.loads(attributes["RedrivePolicy"]) == {
        "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:jobs-dlq",
        "maxReceiveCount": 3,
    }
    assert "FifoQueue" not in attributes


def test_history_is_fifo() -> None:
    assert HISTORY.attributes()["FifoQueue"] == "true"
    assert HISTORY.attributes()["VisibilityTimeout"] == "60"


def test_a_dead_letter_queue_has_none_itself() -> None:
    assert "RedrivePolicy" not in JOBS_DEAD.attributes()


def test_dead_letter_queues_are_defined_before_those_that_name_them() -> None:
    names = [definition["name"] for definition in definitions(QUEUES)]
    for queue in QUEUES:
        if queue.dead_letter:
            assert names.index(queue.dead_letter) < names.index(queue.name)


def test_url() -> None:
    assert queue_url("http://127.0.0.1:1", JOBS) == "http://127.0.0.1:1/000000000000/jobs"
