"""What carries work: the queue of jobs, the queue of history, and what neither could deliver."""

from aws_cdk import Duration, Environment, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from axon.catalog import HISTORY, JOBS
from infra.constructs.data.queue import CatalogQueue
from infra.constructs.observability.alarms import Alarms
from infra.settings.environment import EnvironmentSettings
from infra.stacks.observability import ObservabilityStack

# Longer than a first worker takes to start, and half of what a response may take.
JOBS_AGE_S = 300
HISTORY_AGE_S = 300
# The function has tried one at least twice by then.
UNSERVED_AGE_S = 300


class MessagingStack(Stack):
    """The queues of the catalog, named ``axon-{environment}-...``.

    Attributes
    ----------
    jobs, history
        What is to be done, and what is to be remembered.
    jobs_dead_letters
        What was tried in vain, until a function has told the clients.
    jobs_letters, history_letters
        What was tried in vain, for the operator.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        key: kms.IKey,
        observability: ObservabilityStack,
        env: Environment | None = None,
    ) -> None:
        super().__init__(scope, id, env=env)
        jobs = CatalogQueue(self, "Jobs", settings=settings, definition=JOBS, key=key)
        history = CatalogQueue(self, "History", settings=settings, definition=HISTORY, key=key)
        self.jobs, self.jobs_dead_letters = jobs.queue, jobs.dead_letters
        self.history = history.queue
        self.jobs_letters, self.history_letters = jobs.letters, history.letters
        self._watch(Alarms(self, "Alarms", settings=settings, topic=observability.alarm_topic))

    def _watch(self, alarms: Alarms) -> None:
        _watch_age(
            alarms,
            self.jobs,
            id="jobs-age",
            threshold_s=JOBS_AGE_S,
            description="Requests wait for a worker for minutes. Look at the worker service: does "
            "it start, may it grow (inference.max_tasks), are there instances to be had?",
        )
        _watch_age(
            alarms,
            self.history,
            id="history-age",
            threshold_s=HISTORY_AGE_S,
            description="Conversations do not reach PostgreSQL. Look at the log of write_history "
            "and at the database. After about an hour they become dead letters.",
        )
        _watch_age(
            alarms,
            self.jobs_dead_letters,
            id="jobs-unserved",
            threshold_s=UNSERVED_AGE_S,
            description="Requests were given up and their clients were not told. Look at the log "
            "of dead_letter, at Valkey, and at the function's event source mapping.",
        )
        _watch_letters(
            alarms,
            self.jobs_letters,
            id="jobs-dead-letters",
            description="Requests killed their workers or outlived them; their clients were told. "
            "`axon dlq list` shows them; look for the cause in the workers' log.",
        )
        _watch_letters(
            alarms,
            self.history_letters,
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


def _watch_letters(alarms: Alarms, queue: sqs.Queue, *, id: str, description: str) -> None:
    alarms.on(
        queue.metric_approximate_number_of_messages_visible(
            period=Duration.minutes(1), statistic=cloudwatch.Stats.MAXIMUM
        ),
        id=id,
        threshold=1,
        description=description,
    )
