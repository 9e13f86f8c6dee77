"""The topic of all alarms: encrypted, CloudWatch and Prometheus may publish to it."""

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.settings.environment import EnvironmentSettings

CLOUDWATCH = "cloudwatch.amazonaws.com"
PROMETHEUS = "aps.amazonaws.com"


class AlarmTopic(Construct):
    """The topic, its key, and the e-mail subscription if the settings name an address.

    The topic has a key of its own: AWS services can publish to an encrypted topic only if the
    policy of a customer managed key names them.
    """

    def __init__(self, scope: Construct, id: str, *, settings: EnvironmentSettings) -> None:
        super().__init__(scope, id)
        key = kms.Key(
            self,
            "Key",
            alias=f"axon-{settings.name}-alarms",
            description=f"Axon {settings.name}: alarms on their way to who listens",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,
            pending_window=Duration.days(7),
        )
        self.topic = sns.Topic(
            self,
            "Topic",
            topic_name=f"axon-{settings.name}-alarms",
            display_name=f"Axon {settings.name}",
            master_key=key,
            enforce_ssl=True,
        )
        self._allow_cloudwatch(key, settings)
        if settings.observability.prometheus:
            self._allow_prometheus(key)
        if settings.observability.alarm_email is not None:
            self.topic.add_subscription(
                subscriptions.EmailSubscription(settings.observability.alarm_email)
            )

    def _allow_cloudwatch(self, key: kms.Key, settings: EnvironmentSettings) -> None:
        # A policy of the topic's own replaces the default one, which allowed alarms to publish.
        conditions = self._on_behalf_of(
            service="cloudwatch", resource=f"alarm:axon-{settings.name}-*"
        )
        self._allow_publish(CLOUDWATCH, ["sns:Publish"], conditions)
        self._allow_encrypt(key, CLOUDWATCH, conditions)

    def _allow_prometheus(self, key: kms.Key) -> None:
        conditions = self._on_behalf_of(service="aps", resource="workspace/*")
        self._allow_publish(PROMETHEUS, ["sns:Publish", "sns:GetTopicAttributes"], conditions)
        # AWS does not document that Prometheus passes its source to KMS, so the key's policy cannot
        # require it; the topic's policy does.
        self._allow_encrypt(key, PROMETHEUS, None)

    def _on_behalf_of(self, *, service: str, resource: str) -> dict[str, object]:
        stack = Stack.of(self)
        return {
            "StringEquals": {"aws:SourceAccount": stack.account},
            "ArnLike": {"aws:SourceArn": stack.format_arn(service=service, resource=resource)},
        }

    def _allow_publish(
        self, service: str, actions: list[str], conditions: dict[str, object]
    ) -> None:
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(service)],
                actions=actions,
                resources=[self.topic.topic_arn],
                conditions=conditions,
            )
        )

    def _allow_encrypt(
        self, key: kms.Key, service: str, conditions: dict[str, object] | None
    ) -> None:
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(service)],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],
                conditions=conditions,
            )
        )
