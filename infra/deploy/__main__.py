"""``python -m infra.deploy synth|deploy|destroy ENVIRONMENT``: the settings, checks, and `cdk`."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError

from infra.deploy import checks, report
from infra.deploy.templates import Templates
from infra.settings.environment import EnvironmentSettings, EnvironmentSettingsError, load

ROOT = Path(__file__).parents[2]
CDK = ROOT / "node_modules" / ".bin" / "cdk"
BIN = ROOT / ".venv" / "bin"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        2 when a check fails, else the exit code of `cdk`.
    """
    options, passed_on = _parser().parse_known_args(arguments)
    try:
        settings = load(options.environment)
        checks.check_command(CDK)
        code: int = options.run(settings, options.environment, passed_on)
    except (EnvironmentSettingsError, checks.CheckError) as error:
        print(f"axon: {error}", file=sys.stderr)
        return 2
    return code


def synth(settings: EnvironmentSettings, environment: str, passed_on: Sequence[str]) -> int:
    """Write the templates; findings of cdk-nag fail it."""
    folder = ROOT / "cdk.out" / settings.name
    shutil.rmtree(folder, ignore_errors=True)
    code = _cdk("synth", environment, folder, ["--quiet", *passed_on])
    if code == 0:
        templates = Templates.read(folder)
        print(f"{folder}: {len(templates.stacks)} templates, {templates.resources} resources")
    return code


def deploy(settings: EnvironmentSettings, environment: str, passed_on: Sequence[str]) -> int:
    """Check, deploy all stacks, and say how to talk to them."""
    checks.check_python(settings)
    checks.check_domain(settings)
    target = _checked(settings)
    checks.check_docker(settings, checks.run_quietly)
    print(f"deploying {settings.name} to account {target.account}, {target.region}")
    folder = ROOT / "cdk.out" / settings.name
    outputs = folder.with_suffix(".outputs.json")
    command = ["--all", "--outputs-file", str(outputs), *passed_on]
    code = _cdk("deploy", environment, folder, command, region=target.region)
    if code == 0:
        found = report.read_outputs(outputs)
        print(f"\n{report.describe(settings, found, region=target.region)}")
    return code


def destroy(settings: EnvironmentSettings, environment: str, passed_on: Sequence[str]) -> int:
    """Say what stays, and destroy the rest; `cdk` asks first."""
    target = _checked(settings)
    code = synth(settings, environment, [])
    if code != 0:
        return code
    folder = ROOT / "cdk.out" / settings.name
    print(_staying(settings, Templates.read(folder)))
    return _cdk("destroy", environment, folder, ["--all", *passed_on], region=target.region)


def _staying(settings: EnvironmentSettings, templates: Templates) -> str:
    protected = "protect = true" if settings.protect else "shared by all environments of a region"
    kept = [f"  {count} {kind}" for kind, count in sorted(templates.kept.items())]
    return "\n".join([f"These stay ({protected}), see docs/deploy.md:", *kept])


def _checked(settings: EnvironmentSettings) -> checks.Target:
    try:
        session = boto3.Session()
    except BotoCoreError as error:
        raise checks.CheckError(f"{error}: choose another AWS_PROFILE") from error
    region = checks.find_region(settings, os.environ, session.region_name)

    def client(service: str, region: str) -> object:
        return session.client(service, region_name=region)  # type: ignore[call-overload]

    target = checks.find_account(settings, client, region)
    checks.check_bootstrap(client, target)
    return target


def _cdk(
    action: str,
    environment: str,
    folder: Path,
    arguments: Sequence[str],
    *,
    region: str | None = None,
) -> int:
    variables = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "JSII_NODE": str(BIN / "node"),
    }
    if region is not None:
        variables |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    options = ["--context", f"env={environment}", "--output", str(folder), "--no-notices"]
    command = [str(CDK), action, *options, *arguments]
    return subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.deploy", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for run in (synth, deploy, destroy):
        action = actions.add_parser(run.__name__, help=(run.__doc__ or "").partition("\n")[0])
        action.add_argument("environment")
        action.set_defaults(run=run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
