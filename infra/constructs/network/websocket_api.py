"""The WebSocket API: its routes, its stage, its logs and, where there is one, its domain."""

from collections.abc import Mapping
from typing import cast

from aws_cdk import Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct, IConstruct

from axon.catalog import STAGE
from infra.constructs.observability.access_log import AccessLog, logging_account
from infra.constructs.observability.alarms import Alarms
from infra.constructs.observability.log_groups import log_group
from infra.constructs.security.findings import acknowledge
from infra.constructs.security.wildcards import acknowledge_below
from infra.settings.environment import EnvironmentSettings, Gateway

MESSAGES = ("$default", "response.create")
"""Routes of a client's messages; `response.create` is one of its own to have its own metrics."""


class WebSocketApi(Construct):
    """The API that clients connect to: `authorizer` and `connect`, then `respond` for each message.

    Attributes
    ----------
    url
        ``websocket_base_url`` for an OpenAI SDK. The SDK appends ``/responses``, hence the name of
        the stage and of the domain's path.
    connections_endpoint
        URL of the API that posts messages to clients.
    domain
        None where the settings have no domain.
    log_group
        The access log.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        functions: Mapping[str, lambda_.Function],
    ) -> None:
        super().__init__(scope, id)
        self._functions = functions
        self.api = apigatewayv2.WebSocketApi(
            self,
            "Api",
            api_name=f"axon-{settings.name}",
            description=f"Axon {settings.name}: OpenAI Responses over WebSocket",
            route_selection_expression="$request.body.type",
        )
        self._add_routes()
        self.log_group = log_group(self, "AccessLogs", settings=settings, name="gateway/access")
        self.stage = self._stage(settings)
        self.connections_endpoint = self.stage.callback_url
        self.url = self.stage.url.removesuffix(f"/{STAGE}")
        self.domain = self._domain(settings.gateway)
        if self.domain is not None:
            self.url = f"wss://{self.domain.name}"

    def grant_manage_connections(self, grantee: iam.IGrantable) -> None:
        """Allow posting to clients and closing their connections; `grantee` has its own stack."""
        self.stage.grant_management_api_access(grantee)
        stack = Stack.of(self)
        arn = stack.format_arn(
            service="execute-api",
            # The import that the grantee's stack has after synthesis: the accepted finding must
            # name the resource exactly as cdk-nag reports it.
            resource=stack.export_value(self.api.api_id),
            resource_name=f"{STAGE}/*/@connections/*",
        )
        acknowledge_below(
            cast("IConstruct", grantee.grant_principal),
            arn,
            "Connections come and go by the second; those of other APIs stay shut.",
        )

    def watch(self, alarms: Alarms) -> None:
        """Add an alarm on functions that cannot be invoked: clients then get no answer at all."""
        alarms.on(
            self.stage.metric("ExecutionError", period=Duration.minutes(5), statistic="Sum"),
            id="gateway-errors",
            threshold=5,
            description="API Gateway cannot invoke a function: look at its throttles and errors.",
        )

    def _add_routes(self) -> None:
        self._add_connect()
        self._add_route("$disconnect", "disconnect")
        for key in MESSAGES:
            # Refusals go back as the route's response: only the relay posts to `@connections`.
            self._add_route(key, "respond", return_response=True)
        acknowledge(
            self.api,
            "AwsSolutions-APIG4",
            "API Gateway authorizes a WebSocket once, at $connect; other routes cannot.",
        )

    def _add_route(
        self,
        key: str,
        function: str,
        *,
        authorizer: authorizers.WebSocketLambdaAuthorizer | None = None,
        return_response: bool = False,
    ) -> None:
        self.api.add_route(
            key,
            integration=integrations.WebSocketLambdaIntegration(
                f"{function}-{key}", self._functions[function]
            ),
            authorizer=authorizer,
            return_response=return_response,
        )

    def _add_connect(self) -> None:
        authorizer = authorizers.WebSocketLambdaAuthorizer(
            "Authorizer", self._functions["authorizer"]
        )
        self._add_route("$connect", "connect", authorizer=authorizer)
        # No identity source: API Gateway compares header names case-sensitively, and some clients
        # send `authorization`. The function answers a client without a key with the same 401.
        made = cast("apigatewayv2.WebSocketAuthorizer", self.api.node.find_child("Authorizer"))
        cast("apigatewayv2.CfnAuthorizer", made.node.default_child).identity_source = None

    def _stage(self, settings: EnvironmentSettings) -> apigatewayv2.WebSocketStage:
        stage = apigatewayv2.WebSocketStage(
            self,
            "Stage",
            web_socket_api=self.api,
            stage_name=STAGE,
            auto_deploy=True,
            detailed_metrics_enabled=True,
            throttle=apigatewayv2.ThrottleSettings(
                rate_limit=settings.gateway.requests_per_second, burst_limit=settings.gateway.burst
            ),
            access_log_settings=AccessLog(self.log_group),
        )
        # The deployment of a stage contains only the routes that exist at that moment.
        stage.node.add_dependency(self.api, logging_account(self))
        return stage

    def _domain(self, gateway: Gateway) -> apigatewayv2.DomainName | None:
        """Map ``wss://<domain>/responses``; the API's own address stays in service.

        The relay posts to the API's own address, so a missing DNS record cannot stop responses.
        """
        if gateway.domain_name is None or gateway.certificate_arn is None:
            return None
        domain = apigatewayv2.DomainName(
            self,
            "Domain",
            domain_name=gateway.domain_name,
            certificate=certificates.Certificate.from_certificate_arn(
                self, "Certificate", gateway.certificate_arn
            ),
            security_policy=apigatewayv2.SecurityPolicy.TLS_1_2,
        )
        apigatewayv2.ApiMapping(
            self,
            "Mapping",
            api=self.api,
            stage=self.stage,
            domain_name=domain,
            api_mapping_key=STAGE,
        )
        return domain
