"""The HTTP endpoint: a load balancer that forwards the API's paths to the relays."""

import json

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.observability.alarms import MINUTE
from infra.constructs.security.findings import acknowledge
from infra.settings.environment import EnvironmentSettings

RELAY_PORT = 8080
PATHS = ["/v1/*", "/health"]

IDLE_TIMEOUT_S = 2460
"""Above the longest wait of a response (2400 s, docs/deadlines.md): a stream may be silent while
its response waits for a worker, and must not be cut before the client gets the terminal event. AWS
allows 4000 s."""

DEREGISTRATION_S = 120
"""As long as a relay's task may take to stop, so that its streams can end."""

NOT_FOUND = {
    "error": {
        "message": "There is nothing at this URL. The API's paths begin with /v1/.",
        "type": "invalid_request_error",
        "param": None,
        "code": "not_found",
    }
}


class LoadBalancer(Construct):
    """A public load balancer with TLS where there is a certificate.

    Attributes
    ----------
    url
        ``base_url`` for an OpenAI SDK.
    targets
        The group that the relays join.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        access_logs: s3.Bucket,
    ) -> None:
        super().__init__(scope, id)
        self._balancer = elb.ApplicationLoadBalancer(
            self,
            "Resource",
            vpc=vpc,
            load_balancer_name=f"axon-{settings.name}",
            internet_facing=True,
            vpc_subnets=ec2.SubnetSelection(subnet_group_name="public"),
            security_group=security_group,
            idle_timeout=Duration.seconds(IDLE_TIMEOUT_S),
            drop_invalid_header_fields=True,
        )
        self._log_to(access_logs)
        self.targets = self._targets(vpc)
        certificate = settings.relay.certificate_arn
        self._listen(certificate)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://{self._balancer.load_balancer_dns_name}/v1"

    def _log_to(self, bucket: s3.Bucket) -> None:
        """Enable access logs, without CDK's `log_access_logs`: it needs the region at synthesis."""
        stack = Stack.of(self)
        prefix = "load-balancer"
        self._balancer.set_attribute("access_logs.s3.enabled", "true")
        self._balancer.set_attribute("access_logs.s3.bucket", bucket.bucket_name)
        self._balancer.set_attribute("access_logs.s3.prefix", prefix)
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects(f"{prefix}/AWSLogs/{stack.account}/*")],
                conditions={
                    "ArnLike": {
                        "aws:SourceArn": stack.format_arn(
                            service="elasticloadbalancing",
                            resource="loadbalancer",
                            resource_name="*",
                        )
                    }
                },
            )
        )

    def _targets(self, vpc: ec2.IVpc) -> elb.ApplicationTargetGroup:
        return elb.ApplicationTargetGroup(
            self,
            "Targets",
            vpc=vpc,
            port=RELAY_PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            target_type=elb.TargetType.IP,
            # Streams are long: round robin would fill some relays and leave others empty.
            load_balancing_algorithm_type=(
                elb.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS
            ),
            deregistration_delay=Duration.seconds(DEREGISTRATION_S),
            health_check=elb.HealthCheck(
                # Liveness: ECS replaces a task that fails this check. A relay that cannot serve
                # refuses requests itself, and when Valkey is away, all of them cannot.
                path="/live",
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
                # 404: a relay of the version before, which runs on until it is replaced.
                healthy_http_codes="200,404",
            ),
        )

    def _listen(self, certificate: str | None) -> None:
        if certificate is None:
            listener = self._listener("Http", 80, elb.ApplicationProtocol.HTTP)
            for rule in ("CKV_AWS_2", "CKV_AWS_103"):
                acknowledge(listener, rule, "TLS needs a certificate: relay.certificate_arn.")
        else:
            listener = self._listener(
                "Https",
                443,
                elb.ApplicationProtocol.HTTPS,
                certificates=[elb.ListenerCertificate.from_arn(certificate)],
                ssl_policy=elb.SslPolicy.TLS13_RES,
            )
            self._balancer.add_redirect(open=False)
        listener.add_action(
            "Api",
            priority=1,
            conditions=[elb.ListenerCondition.path_patterns(PATHS)],
            action=elb.ListenerAction.forward([self.targets]),
        )

    def _listener(
        self,
        id: str,
        port: int,
        protocol: elb.ApplicationProtocol,
        *,
        certificates: list[elb.IListenerCertificate] | None = None,
        ssl_policy: elb.SslPolicy | None = None,
    ) -> elb.ApplicationListener:
        return self._balancer.add_listener(
            id,
            port=port,
            protocol=protocol,
            certificates=certificates,
            ssl_policy=ssl_policy,
            open=False,
            default_action=elb.ListenerAction.fixed_response(
                404, content_type="application/json", message_body=json.dumps(NOT_FOUND)
            ),
        )

    def unhealthy(self) -> cloudwatch.Metric:
        """Return the number of relays that fail the load balancer's health check."""
        return self.targets.metrics.unhealthy_host_count(period=MINUTE, statistic="Maximum")

    def failures(self) -> cloudwatch.MathExpression:
        """Return the share of requests that ended in a 5xx, in percent."""
        metrics = self._balancer.metrics
        return cloudwatch.MathExpression(
            expression="100 * (FILL(own, 0) + FILL(relays, 0)) / (requests + FILL(own, 0))",
            label="requests that failed, in percent",
            period=MINUTE,
            using_metrics={
                "own": metrics.http_code_elb(
                    elb.HttpCodeElb.ELB_5XX_COUNT, period=MINUTE, statistic="Sum"
                ),
                "relays": metrics.http_code_target(
                    elb.HttpCodeTarget.TARGET_5XX_COUNT, period=MINUTE, statistic="Sum"
                ),
                "requests": metrics.request_count(period=MINUTE, statistic="Sum"),
            },
        )
