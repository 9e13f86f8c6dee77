"""What must be so before anything is deployed; what is not is one line with its remedy."""

import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.exceptions import ConnectionError as AwsConnectionError

from infra.settings.environment import EnvironmentSettings

BOOTSTRAP_PARAMETER = "/cdk-bootstrap/hnb659fds/version"
WORKER_ARCHITECTURE = "x86_64"
PLATFORMS = {"arm64": "linux/arm64", "x86_64": "linux/amd64"}
MACHINES = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64", "amd64": "x86_64"}

Client = Callable[[str, str], Any]
"""Makes an AWS client from a service's name and a region."""

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]
"""Runs a command and returns what it said; FileNotFoundError when there is no such command."""


class CheckError(Exception):
    """Something is not as it must be; the text is one line that says what to do about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where the stacks go."""

    account: str
    region: str


def check_command(path: Path) -> None:
    """Check that `make setup` was run."""
    if not path.exists():
        raise CheckError(f"there is no {path.name} command: run `make setup`")


def check_python(settings: EnvironmentSettings) -> None:
    """Check that the functions' wheels run on the system that Lambda has for their Python."""
    if settings.functions.python == "3.11":
        raise CheckError(
            "functions.python 3.11 runs on Amazon Linux 2, whose C library is too old for psycopg: "
            "set 3.12 or newer"
        )


def find_region(
    settings: EnvironmentSettings, variables: Mapping[str, str], profile: str | None
) -> str:
    """Return the region: the settings', else the shell's, else the AWS profile's."""
    region = (
        settings.region
        or variables.get("AWS_REGION")
        or variables.get("AWS_DEFAULT_REGION")
        or profile
    )
    if not region:
        raise CheckError(
            f"no region is set: write region in the environment file of {settings.name}, "
            "or export AWS_REGION"
        )
    return region


def find_account(settings: EnvironmentSettings, client: Client, region: str) -> Target:
    """Ask AWS whose credentials these are."""
    try:
        account: str = client("sts", region).get_caller_identity()["Account"]
    except NoCredentialsError as error:
        raise CheckError(
            "no AWS credentials: run `aws configure sso`, or export AWS_PROFILE"
        ) from error
    except (AwsConnectionError, HTTPClientError) as error:
        raise CheckError(f"AWS cannot be reached: {_one_line(error)}") from error
    except (BotoCoreError, ClientError) as error:
        raise CheckError(
            f"AWS does not accept the credentials: {_one_line(error)}; run `aws sso login`, "
            "or renew them"
        ) from error
    if settings.account is not None and settings.account != account:
        raise CheckError(
            f"the credentials are for account {account}, but {settings.name} belongs to account "
            f"{settings.account}: choose another AWS_PROFILE"
        )
    return Target(account=account, region=region)


def check_bootstrap(client: Client, target: Target) -> None:
    """Check that CDK may deploy there: bootstrapping leaves a parameter with its version."""
    try:
        client("ssm", target.region).get_parameter(Name=BOOTSTRAP_PARAMETER)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise CheckError(
                f"cannot see whether CDK is bootstrapped: {_one_line(error)}"
            ) from error
        raise CheckError(
            f"CDK is not bootstrapped in {target.region}: run `node_modules/.bin/cdk bootstrap "
            f"aws://{target.account}/{target.region}` with .venv/bin first in PATH"
        ) from error
    except BotoCoreError as error:
        raise CheckError(f"cannot see whether CDK is bootstrapped: {_one_line(error)}") from error


def check_docker(settings: EnvironmentSettings, run: Run, *, machine: str | None = None) -> None:
    """Check that the images can be built here, as far as the settings do not name finished ones."""
    wanted = _architectures(settings)
    if not wanted:
        return
    remedy = "start it, or name finished images as relay.image and inference.image"
    if _output(run, "docker", "version", "--format", "{{.Server.Version}}") is None:
        raise CheckError(f"Docker is not running, and images must be built: {remedy}")
    own = MACHINES.get((machine or platform.machine()).lower())
    foreign = sorted(wanted - {own})
    builder = _output(run, "docker", "buildx", "inspect") if foreign else ""
    if builder is None:
        raise CheckError("Docker has no buildx, which builds for other processors: install it")
    for architecture in foreign:
        if PLATFORMS[architecture] not in builder:
            raise CheckError(
                f"Docker cannot build for {PLATFORMS[architecture]} here: run `docker run "
                f"--privileged --rm tonistiigi/binfmt --install {PLATFORMS[architecture][6:]}`, "
                "or name finished images as relay.image and inference.image"
            )


def run_quietly(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run a command and keep what it says."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _architectures(settings: EnvironmentSettings) -> set[str]:
    wanted: set[str] = set()
    if settings.relay.image is None:
        wanted.add(settings.relay.architecture)
    if settings.inference.image is None:
        wanted.add(WORKER_ARCHITECTURE)
    return wanted


def _output(run: Run, *command: str) -> str | None:
    try:
        done = run(command)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
