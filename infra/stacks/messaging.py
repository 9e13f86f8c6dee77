"""The stack of the queues: jobs, history, and their dead-letter queues."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from axon.catalog import HISTORY, JOBS, Resource
from infra.constructs.data.catalog_queue import CatalogQueue, receive_grant, send_grant
from infra.constructs.observability.alarms import Alarms
from infra.constructs.security.grants import Grants
from infra.stacks.base import EnvironmentStack
from infra.stacks.foundation import Foundation

# Longer than the first worker takes to start, half of the time in the queue (docs/deadlines.md).
JOBS_AGE_S = 300
HISTORY_AGE_S = 300
# By then the function has tried a dead letter at least twice.
UNSERVED_AGE_S = 300


class MessagingStack(EnvironmentStack):
    """The queues of the catalog, named ``axon-{environment}-...``.

    Attributes
    ----------
    jobs
        Responses to generate.
    history
        Turns to write to PostgreSQL.
    """

    def __init__(self, scope: Construct, id: str, *, foundation: Foundation, key: kms.IKey) -> None:
        settings = foundation.settings
        super().__init__(scope, id, settings=settings)
        self._key = key
        self.jobs = CatalogQueue(self, "Jobs", settings=settings, definition=JOBS, key=key)
        self.history = CatalogQueue(self, "History", settings=settings, definition=HISTORY, key=key)
        self._watch(foundation.alarms(self))

    @property
    def grants(self) -> Grants:
        """Grants on the queues; sending and receiving are granted apart."""
        jobs, parked, history = self.jobs.queue, self.jobs.operator_queue, self.history.queue
        unwritten = self.history.operator_queue
        return {
            Resource.SEND_JOBS: send_grant(jobs, self._key, variable="AXON_JOBS_QUEUE_URL"),
            Resource.RECEIVE_JOBS: receive_grant(jobs, self._key, variable="AXON_JOBS_QUEUE_URL"),
            Resource.PARK_JOBS: send_grant(parked, self._key, variable="AXON_PARKED_QUEUE_URL"),
            Resource.PARK_HISTORY: send_grant(
                unwritten, self._key, variable="AXON_DEAD_LETTER_QUEUE_URL"
            ),
            Resource.SEND_HISTORY: send_grant(
                history, self._key, variable="AXON_HISTORY_QUEUE_URL"
            ),
        }

    def _watch(self, alarms: Alarms) -> None:
        _watch_age(
            alarms,
            self.jobs.queue,
            id="jobs-age",
            threshold_s=JOBS_AGE_S,
            description="Requests wait for a worker for minutes. Look at the worker service: does "
            "it start, may it grow (inference.max_tasks), are there instances to be had?",
        )
        _watch_age(
            alarms,
            self.history.queue,
            id="history-age",
            threshold_s=HISTORY_AGE_S,
            description="Conversations do not reach PostgreSQL. Look at the log of write_history "
            "and at the database. After about an hour they become dead letters.",
        )
        _watch_age(
            alarms,
            self.jobs.dead_letters,
            id="jobs-unserved",
            threshold_s=UNSERVED_AGE_S,
            description="Requests were given up and their clients were not told. Look at the log "
            "of dead_letter, at Valkey, and at the function's event source mapping.",
        )
        _watch_dead_letters(
            alarms,
            self.jobs.operator_queue,
            id="jobs-dead-letters",
            description="Requests killed workers on which they ran alone, or were received too "
            "often; their clients were told. "
            "`axon dlq list` shows them; look for the cause in the workers' log.",
        )
        _watch_dead_letters(
            alarms,
            self.history.operator_queue,
            id="history-dead-letters",
            description="Conversations could not be written. Fix the cause, then `axon dlq "
            "redrive --all --queue history`: writing them twice does no harm.",
        )


def _watch_age(
    alarms: Alarms, queue: sqs.Queue, *, id: str, threshold_s: int, description: str
) -> None:
    alarms.on(
        queue.metric_approximate_age_of_oldest_message(period=Duration.minutes(1)),
        id=id,
        threshold=threshold_s,
        periods=3,
        description=description,
    )


def _watch_dead_letters(alarms: Alarms, queue: sqs.Queue, *, id: str, description: str) -> None:
    alarms.on(
        queue.metric_approximate_number_of_messages_visible(
            period=Duration.minutes(1), statistic=cloudwatch.Stats.MAXIMUM
        ),
        id=id,
        threshold=1,
        description=description,
    )
