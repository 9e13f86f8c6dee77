"""Entry point of ``cdk`` (see cdk.json): settings of an environment in, templates out."""

import sys

from aws_cdk import App

from infra.application import build
from infra.constructs.functions.wheels import WheelsError
from infra.settings.environment import EnvironmentSettingsError, load

if __name__ == "__main__":
    app = App()
    try:
        build(app, load(app.node.try_get_context("env") or "dev"))
    except (EnvironmentSettingsError, WheelsError) as error:
        sys.exit(f"axon: {error}")
    app.synth()
