"""The stack of the front as a Lambda function with a URL, which costs nothing while idle."""

from aws_cdk import CfnOutput, Fn
from constructs import Construct

from infra.constructs.functions.front_function import FrontFunction
from infra.settings.environment import FunctionFront
from infra.stacks.base import EnvironmentStack
from infra.stacks.platform import Platform


class FunctionFrontStack(EnvironmentStack):
    """The front function, its URL and its alarms."""

    def __init__(
        self, scope: Construct, id: str, *, platform: Platform, front: FunctionFront
    ) -> None:
        super().__init__(scope, id, settings=platform.settings)
        function = FrontFunction(
            self,
            "Front",
            settings=platform.settings,
            front=front,
            vpc=platform.network.vpc,
            security_group=platform.network.groups.functions,
            grants=platform.grants,
        )
        platform.observability.watch_logs(function.log_group)
        function.watch(platform.alarms(self))
        CfnOutput(
            self,
            "HttpUrl",
            # Lambda's URL ends with a slash.
            value=Fn.join("", [function.url, "v1"]),
            description="base_url of an OpenAI SDK",
        )
