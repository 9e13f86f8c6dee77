"""The HTTPS endpoint: a load balancer that forwards the API's paths to the fronts."""

import json

from aws_cdk import Duration, Stack
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from infra.constructs.observability.alarms import MINUTE
from infra.settings.environment import BalancedFront, EnvironmentSettings

FRONT_PORT = 8080
PATHS = ["/v1/*", "/healthz", "/openapi.json", "/docs"]
"""The paths for clients; a rule has room for five patterns. Not /readyz, which is for the balancer,
and nothing that a front might serve by mistake."""
PAGES = ["/", "/playground/*"]

IDLE_TIMEOUT_S = 2460
"""Above the longest wait of a response (2400 s, docs/deadlines.md): a client that waits for JSON is
sent nothing before its response ends. Streams have a comment every 15 s. AWS allows 4000 s."""

KEEP_ALIVE_S = IDLE_TIMEOUT_S + 60
"""Seconds for which a front keeps an unused connection (AXON_KEEP_ALIVE_S): longer than the
balancer, which otherwise sends a request into a connection that has just been closed (502)."""

DEREGISTRATION_S = 120
"""As long as a front's task may take to stop, so that its streams can end."""

READY_AFTER = 2
UNREADY_AFTER = 10
"""Numbers of checks in a row, one every 10 s. ECS replaces a task that is unhealthy, and a front is
not ready while Valkey is away: a failover, which takes seconds, must not replace all fronts. AWS
allows 10 at most."""

NOT_FOUND = {
    "error": {
        "message": "There is nothing at this URL. The API's paths begin with /v1/.",
        "type": "invalid_request_error",
        "param": None,
        "code": "unknown_url",
    }
}


class LoadBalancer(Construct):
    """A public load balancer for HTTPS alone.

    Nothing listens on port 80: a redirect would answer a request that has sent its key already,
    and the next one, too.

    Attributes
    ----------
    url
        ``base_url`` for an OpenAI SDK.
    targets
        The group that the fronts join.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        front: BalancedFront,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        access_logs: s3.Bucket,
    ) -> None:
        super().__init__(scope, id)
        self._front = front
        self._balancer = elb.ApplicationLoadBalancer(
            self,
            "Resource",
            vpc=vpc,
            load_balancer_name=f"axon-{settings.name}-front",
            internet_facing=True,
            vpc_subnets=ec2.SubnetSelection(subnet_group_name="public"),
            security_group=security_group,
            idle_timeout=Duration.seconds(IDLE_TIMEOUT_S),
            drop_invalid_header_fields=True,
            # Requests that two servers may read in two ways are refused.
            desync_mitigation_mode=elb.DesyncMitigationMode.STRICTEST,
        )
        self._log_to(access_logs)
        self.targets = self._targets(vpc)
        zone = self._zone()
        self._listen(zone)
        if zone is not None:
            self._name(zone)
        if front.web_acl_arn is not None:
            waf.CfnWebACLAssociation(
                self,
                "Firewall",
                resource_arn=self._balancer.load_balancer_arn,
                web_acl_arn=front.web_acl_arn,
            )
        self.url = f"https://{front.domain_name or self._balancer.load_balancer_dns_name}/v1"

    @property
    def dns_name(self) -> str:
        """The target for a CNAME record of the API's name, where the stack makes no record."""
        return self._balancer.load_balancer_dns_name

    def _log_to(self, bucket: s3.Bucket) -> None:
        """Enable access logs, without CDK's `log_access_logs`: it needs the region at synthesis.

        They have the queries of URLs, which AWS cannot leave out. Axon's hold numbers and ids: keys
        are read from headers alone.
        """
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
            port=FRONT_PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            target_type=elb.TargetType.IP,
            # Streams are long: round robin would fill some fronts and leave others empty. AWS has
            # no slow start with this algorithm; a front needs none, as it has no cache to warm up.
            load_balancing_algorithm_type=(
                elb.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS
            ),
            deregistration_delay=Duration.seconds(DEREGISTRATION_S),
            health_check=elb.HealthCheck(
                path="/readyz",
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                healthy_threshold_count=READY_AFTER,
                unhealthy_threshold_count=UNREADY_AFTER,
                healthy_http_codes="200",
            ),
        )

    def _zone(self) -> route53.IHostedZone | None:
        if self._front.hosted_zone_id is None:
            return None
        return route53.HostedZone.from_hosted_zone_id(self, "Zone", self._front.hosted_zone_id)

    def _certificate(self, zone: route53.IHostedZone | None) -> elb.IListenerCertificate:
        """Return the settings' certificate, or one that is made and renewed by records in `zone`.

        The settings have one of them.
        """
        if zone is None or self._front.certificate_arn is not None:
            return elb.ListenerCertificate.from_arn(self._front.certificate_arn or "")
        made = certificates.Certificate(
            self,
            "Certificate",
            domain_name=self._front.domain_name or "",
            validation=certificates.CertificateValidation.from_dns(zone),
        )
        return elb.ListenerCertificate.from_certificate_manager(made)

    def _listen(self, zone: route53.IHostedZone | None) -> None:
        listener = self._balancer.add_listener(
            "Https",
            port=443,
            protocol=elb.ApplicationProtocol.HTTPS,
            certificates=[self._certificate(zone)],
            ssl_policy=elb.SslPolicy.TLS13_RES,
            open=False,
            default_action=elb.ListenerAction.fixed_response(
                404, content_type="application/json", message_body=json.dumps(NOT_FOUND)
            ),
        )
        forwarded = {"Api": PATHS} | ({"Pages": PAGES} if self._front.playground else {})
        for priority, (rule, paths) in enumerate(forwarded.items(), start=1):
            listener.add_action(
                rule,
                priority=priority,
                conditions=[elb.ListenerCondition.path_patterns(paths)],
                action=elb.ListenerAction.forward([self.targets]),
            )

    def _name(self, zone: route53.IHostedZone) -> None:
        route53.ARecord(
            self,
            "Record",
            zone=zone,
            # With the dot it is complete: the name of the zone, which is added else, is not known.
            record_name=f"{self._front.domain_name}.",
            target=route53.RecordTarget.from_alias(targets.LoadBalancerTarget(self._balancer)),
        )

    def unhealthy(self) -> cloudwatch.Metric:
        """Return the number of fronts that fail the load balancer's health check."""
        return self.targets.metrics.unhealthy_host_count(period=MINUTE, statistic="Maximum")

    def failures(self) -> cloudwatch.MathExpression:
        """Return the share of requests that ended in a 5xx, in percent."""
        metrics = self._balancer.metrics
        return cloudwatch.MathExpression(
            expression="100 * (FILL(own, 0) + FILL(fronts, 0)) / (requests + FILL(own, 0))",
            label="requests that failed, in percent",
            period=MINUTE,
            using_metrics={
                "own": metrics.http_code_elb(
                    elb.HttpCodeElb.ELB_5XX_COUNT, period=MINUTE, statistic="Sum"
                ),
                "fronts": metrics.http_code_target(
                    elb.HttpCodeTarget.TARGET_5XX_COUNT, period=MINUTE, statistic="Sum"
                ),
                "requests": metrics.request_count(period=MINUTE, statistic="Sum"),
            },
        )
