"""The queues of the catalog and the buckets, as the local cloud makes them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from axon import catalog

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeNameType

REGION = "us-east-1"
ACCOUNT = "000000000000"
PAYLOADS = "axon-payloads"
"""The bucket of what no queue can carry. Nothing expires here: fauxqs has no lifecycle rules."""
BUCKETS = (PAYLOADS,)
KEPT_S = catalog.MESSAGE_DAYS * 24 * 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """An SQS queue. After `max_receives` a message goes to the queue named `dead_letter`."""

    name: str
    visibility_s: int
    dead_letter: str | None = None
    max_receives: int = 3

    def attributes(self, *, dead_letter: str | None = None) -> dict["QueueAttributeNameType", str]:
        """Return SQS's own attributes; `dead_letter` stands in for the queue's own."""
        attributes: dict[QueueAttributeNameType, str] = {
            "VisibilityTimeout": str(self.visibility_s),
            "MessageRetentionPeriod": str(KEPT_S),
            "MaximumMessageSize": str(catalog.QUEUE_MESSAGE_BYTES),
        }
        if self.name.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        if target := dead_letter or self.dead_letter:
            arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{target}"
            redrive = {"deadLetterTargetArn": arn, "maxReceiveCount": self.max_receives}
            attributes["RedrivePolicy"] = json.dumps(redrive)
        return attributes


def _working(definition: catalog.Queue) -> Queue:
    return Queue(
        name=definition.name,
        visibility_s=definition.visibility_s,
        dead_letter=definition.dead_letter,
        max_receives=definition.max_receives,
    )


def _last(name: str) -> Queue:
    """Return a queue without a dead-letter queue of its own."""
    return Queue(name=name, visibility_s=catalog.DEAD_LETTER_VISIBILITY_S)


JOBS, HISTORY = _working(catalog.JOBS), _working(catalog.HISTORY)
JOBS_DEAD, HISTORY_DEAD = _last(catalog.JOBS.dead_letter), _last(catalog.HISTORY.dead_letter)
JOBS_PARKED = _last(catalog.JOBS.operator_queue)
# Dead-letter queues first: a redrive policy names one that exists.
QUEUES = (JOBS_DEAD, JOBS_PARKED, HISTORY_DEAD, JOBS, HISTORY)


def queue_url(endpoint: str, queue: Queue) -> str:
    """Return the queue's URL at a fauxqs that listens on `endpoint`."""
    return f"{endpoint}/{ACCOUNT}/{queue.name}"


def definitions(queues: Iterable[Queue]) -> list[Mapping[str, object]]:
    """Return the queues as fauxqs's own configuration takes them."""
    return [{"name": queue.name, "attributes": queue.attributes()} for queue in queues]
