"""Checks before a deployment; each failure is one line with its remedy."""

import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.exceptions import ConnectionError as AwsConnectionError

from infra.settings.environment import BalancedFront, EnvironmentSettings

BOOTSTRAP_PARAMETER = "/cdk-bootstrap/hnb659fds/version"
WORKER_ARCHITECTURE = "x86_64"
EXAMPLE_DOMAIN = ".example.com"
PLATFORMS = {"arm64": "linux/arm64", "x86_64": "linux/amd64"}
MACHINES = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64", "amd64": "x86_64"}

Client = Callable[[str, str], Any]
"""Makes an AWS client from a service's name and a region."""

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]
"""Runs a command and captures its output; FileNotFoundError when the command does not exist."""


class CheckError(Exception):
    """A check failed; the text is one line that says what to do about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Account and region that the stacks are deployed to."""

    account: str
    region: str


def check_command(path: Path) -> None:
    """Check that `make setup` has installed the command at `path`.

    Raises
    ------
    CheckError
        The command is missing.
    """
    if not path.exists():
        raise CheckError(f"there is no {path.name} command: run `make setup`")


def check_python(settings: EnvironmentSettings) -> None:
    """Check that the functions' wheels run on the operating system of their Lambda runtime.

    Raises
    ------
    CheckError
        The Python is one that Lambda runs on Amazon Linux 2.
    """
    if settings.functions.python == "3.11":
        raise CheckError(
            "functions.python 3.11 runs on Amazon Linux 2, whose C library is too old for psycopg: "
            "set 3.12 or newer"
        )


def check_domain(settings: EnvironmentSettings) -> None:
    """Check that the HTTP API's name is the operator's own, not the one that prod.toml comes with.

    Raises
    ------
    CheckError
        It is of example.com, which nobody can have a certificate for (RFC 2606).
    """
    domain = settings.front.domain_name if isinstance(settings.front, BalancedFront) else None
    if domain is not None and f".{domain}".endswith(EXAMPLE_DOMAIN):
        raise CheckError(
            f"front.domain_name {domain} is an example: set it and front.hosted_zone_id to a name "
            "and a Route 53 zone of yours, or remove both and set front.certificate_arn"
        )


def find_region(
    settings: EnvironmentSettings, variables: Mapping[str, str], profile: str | None
) -> str:
    """Return the region: of the settings, else of the shell, else of the AWS profile.

    Raises
    ------
    CheckError
        None of them names a region.
    """
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
    """Return the account of the credentials, as AWS reports it.

    Raises
    ------
    CheckError
        AWS is unreachable, refuses the credentials, or they belong to another account than the
        environment's.
    """
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
    """Check that CDK is bootstrapped: bootstrapping leaves a parameter with its version.

    Raises
    ------
    CheckError
        CDK is not bootstrapped in the target, or that cannot be read.
    """
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
    """Check that the images that the settings do not name can be built on this machine.

    Raises
    ------
    CheckError
        Docker or buildx is missing, or cannot build for a needed platform.
    """
    built = _built_images(settings)
    if not built:
        return
    needed, named = set(built.values()), _listed(built)
    remedy = f"start it, or name finished images as {named}"
    if _output(run, "docker", "version", "--format", "{{.Server.Version}}") is None:
        raise CheckError(f"Docker is not running, and images must be built: {remedy}")
    own = MACHINES.get((machine or platform.machine()).lower())
    foreign = sorted(needed - {own})
    builder = _output(run, "docker", "buildx", "inspect") if foreign else ""
    if builder is None:
        raise CheckError("Docker has no buildx, which builds for other processors: install it")
    for architecture in foreign:
        if PLATFORMS[architecture] not in builder:
            raise CheckError(
                f"Docker cannot build for {PLATFORMS[architecture]} here: run `docker run "
                f"--privileged --rm tonistiigi/binfmt --install {PLATFORMS[architecture][6:]}`, "
                f"or name finished images as {named}"
            )


def run_quietly(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run a command and capture its output."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _built_images(settings: EnvironmentSettings) -> dict[str, str]:
    """Return the images that a deployment builds: their settings, and for which processor."""
    built: dict[str, str] = {}
    if settings.relay.image is None:
        built["relay.image"] = settings.relay.architecture
    if isinstance(settings.front, BalancedFront) and settings.front.image is None:
        built["front.image"] = settings.front.architecture
    if settings.inference.image is None:
        built["inference.image"] = WORKER_ARCHITECTURE
    return built


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _output(run: Run, *command: str) -> str | None:
    try:
        done = run(command)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
