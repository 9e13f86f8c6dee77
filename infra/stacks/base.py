"""The base class of every stack."""

from aws_cdk import Environment, Stack
from constructs import Construct

from infra.settings.environment import EnvironmentSettings


class EnvironmentStack(Stack):
    """A stack in the account and region of its environment.

    Where the settings name neither, the template is the same for every account and region.
    """

    def __init__(self, scope: Construct, id: str, *, settings: EnvironmentSettings) -> None:
        super().__init__(
            scope, id, env=Environment(account=settings.account, region=settings.region)
        )
