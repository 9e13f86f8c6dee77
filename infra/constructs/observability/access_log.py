"""API Gateway's access log of connections and messages, and the account's role for it."""

import json

import jsii
from aws_cdk import RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.security.findings import acknowledge

WRITER = "service-role/AmazonAPIGatewayPushToCloudWatchLogs"

FIELDS = {
    "time": "$context.requestTimeEpoch",
    "requestId": "$context.requestId",
    "connectionId": "$context.connectionId",
    "event": "$context.eventType",
    "route": "$context.routeKey",
    "status": "$context.status",
    "sourceIp": "$context.identity.sourceIp",
    "userAgent": "$context.identity.userAgent",
    "tenantId": "$context.authorizer.tenant_id",
    "keyId": "$context.authorizer.key_id",
    "integrationLatency": "$context.integrationLatency",
    "integrationError": "$context.integration.error",
    "authorizerError": "$context.authorizer.error",
    "error": "$context.error.message",
}
"""Time, caller and result of each message. Never API keys, never content."""


@jsii.implements(apigatewayv2.IAccessLogSettings)
class AccessLog:
    """Writes `FIELDS` to a log group, one JSON object a line."""

    def __init__(self, log_group: logs.LogGroup) -> None:
        self._log_group = log_group

    @property
    def destination(self) -> apigatewayv2.LogGroupLogDestination:
        """The log group, as CDK's interface requires it."""
        return apigatewayv2.LogGroupLogDestination(self._log_group)

    @property
    def format(self) -> apigateway.AccessLogFormat:
        """The log format: `FIELDS` as JSON."""
        return apigateway.AccessLogFormat.custom(json.dumps(FIELDS))


def logging_account(scope: Construct) -> apigateway.CfnAccount:
    """Set the role with which API Gateway writes logs: one for a whole region of an account.

    It is retained with the environment gone, since other environments and APIs rely on it.
    """
    role = iam.Role(
        scope,
        "LogsRole",
        assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"),
        managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(WRITER)],
    )
    acknowledge(
        role,
        f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{WRITER}]",
        "API Gateway takes no narrower policy for what the account logs with.",
    )
    account = apigateway.CfnAccount(scope, "Account", cloud_watch_role_arn=role.role_arn)
    role.apply_removal_policy(RemovalPolicy.RETAIN)
    account.apply_removal_policy(RemovalPolicy.RETAIN)
    return account
