"""A queue of the catalog and its dead-letter queue: encrypted, TLS only."""

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from axon import catalog
from infra.constructs.security.findings import acknowledge
from infra.constructs.security.grants import Grant
from infra.constructs.security.key_use import grant_key_use
from infra.settings.environment import EnvironmentSettings


class CatalogQueue(Construct):
    """A queue and its dead-letter queue, with a third queue where a function serves dead letters.

    Attributes
    ----------
    queue, dead_letters
        The two queues that every definition names.
    operator_queue
        Where dead letters wait for the operator: `dead_letters`, or a third queue.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        definition: catalog.Queue,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        self._settings = settings
        self._key = key
        self.dead_letters = self._make(
            "DeadLetters",
            name=definition.dead_letter,
            visibility_s=catalog.DEAD_LETTER_VISIBILITY_S,
            redrive_allow_policy=self._only_from(definition.name),
        )
        self.queue = self._make(
            "Queue",
            name=definition.name,
            visibility_s=definition.visibility_s,
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=definition.max_receives
            ),
        )
        self.operator_queue = (
            self._park(definition.parked) if definition.parked else self.dead_letters
        )

    def _park(self, name: str) -> sqs.Queue:
        nobody = sqs.RedriveAllowPolicy(redrive_permission=sqs.RedrivePermission.DENY_ALL)
        parked = self._make(
            "Parked",
            name=name,
            visibility_s=catalog.DEAD_LETTER_VISIBILITY_S,
            redrive_allow_policy=nobody,
        )
        reason = "It holds dead letters, which only the operator receives."
        acknowledge(parked, "AwsSolutions-SQS3", reason)
        return parked

    def _make(
        self,
        id: str,
        *,
        name: str,
        visibility_s: int,
        dead_letter_queue: sqs.DeadLetterQueue | None = None,
        redrive_allow_policy: sqs.RedriveAllowPolicy | None = None,
    ) -> sqs.Queue:
        fifo = name.endswith(".fifo")
        return sqs.Queue(
            self,
            id,
            queue_name=self._full(name),
            visibility_timeout=Duration.seconds(visibility_s),
            retention_period=Duration.days(catalog.MESSAGE_DAYS),
            max_message_size_bytes=catalog.QUEUE_MESSAGE_BYTES,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=self._key,
            data_key_reuse=Duration.hours(1),
            enforce_ssl=True,
            dead_letter_queue=dead_letter_queue,
            redrive_allow_policy=redrive_allow_policy,
            # High throughput: each group has its own order, its own duplicates and its own limit.
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP if fifo else None,
            fifo_throughput_limit=(sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID if fifo else None),
            removal_policy=(
                RemovalPolicy.RETAIN if self._settings.protect else RemovalPolicy.DESTROY
            ),
        )

    def _only_from(self, name: str) -> sqs.RedriveAllowPolicy:
        """Allow redrive from the queue `name` only.

        The queue is named, not referred to: it refers to its dead-letter queue already, and a
        reference back would be a circle that CloudFormation refuses.
        """
        arn = Stack.of(self).format_arn(service="sqs", resource=self._full(name))
        source = sqs.Queue.from_queue_arn(self, "Source", arn)
        return sqs.RedriveAllowPolicy(
            redrive_permission=sqs.RedrivePermission.BY_QUEUE, source_queues=[source]
        )

    def _full(self, name: str) -> str:
        return f"axon-{self._settings.name}-{name}"


def send_grant(queue: sqs.Queue, key: kms.IKey, *, variable: str) -> Grant:
    """Return the grant to send to `queue`, whose URL the environment variable `variable` holds."""

    def permit(grantee: iam.IGrantable) -> None:
        queue.grant(grantee, "sqs:SendMessage")
        grant_key_use(grantee, key, "kms:Decrypt", "kms:GenerateDataKey", service="sqs")

    return Grant(permit=permit, variables={variable: queue.queue_url})


def receive_grant(queue: sqs.Queue, key: kms.IKey, *, variable: str) -> Grant:
    """Return the grant to receive from `queue`, delete and hide its messages."""

    def permit(grantee: iam.IGrantable) -> None:
        queue.grant(
            grantee, "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"
        )
        grant_key_use(grantee, key, "kms:Decrypt", service="sqs")

    return Grant(permit=permit, variables={variable: queue.queue_url})
