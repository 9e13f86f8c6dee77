import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from botocore.stub import Stubber

from infra.deploy.checks import (
    BOOTSTRAP_PARAMETER,
    CheckError,
    Client,
    Run,
    Target,
    check_bootstrap,
    check_command,
    check_docker,
    check_domain,
    check_python,
    find_account,
    find_region,
)
from infra.settings.environment import EnvironmentSettings, load

ACCOUNT = "123456789012"
TARGET = Target(account=ACCOUNT, region="eu-central-1")
BUILT = EnvironmentSettings(name="test")


def settings(**given: Any) -> EnvironmentSettings:
    return EnvironmentSettings.model_validate({"name": "test", **given})


class StubbedClient:
    """One AWS client whose answers are given."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._client: Any = boto3.client(
            service,  # type: ignore[call-overload]
            region_name="eu-central-1",
            aws_access_key_id="nobody",
            aws_secret_access_key="nothing",
        )
        self.stub = Stubber(self._client)
        self.stub.activate()

    def __call__(self, service: str, region: str) -> Any:
        assert (service, region) == (self._service, "eu-central-1")
        return self._client


def complaint(check: Callable[[], object]) -> str:
    with pytest.raises(CheckError) as raised:
        check()
    text = str(raised.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("own", "variables", "profile", "region"),
    [
        ("eu-west-1", {"AWS_REGION": "us-east-1"}, "us-east-2", "eu-west-1"),
        (None, {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-west-2"}, None, "us-east-1"),
        (None, {"AWS_DEFAULT_REGION": "us-west-2"}, "us-east-2", "us-west-2"),
        (None, {}, "us-east-2", "us-east-2"),
    ],
)
def test_find_region_prefers_settings_then_shell_then_profile(
    own: str | None, variables: Mapping[str, str], profile: str | None, region: str
) -> None:
    assert find_region(settings(region=own), variables, profile) == region


def test_find_region_without_a_region_says_what_to_do() -> None:
    assert complaint(lambda: find_region(BUILT, {}, None)) == (
        "no region is set: write region in the environment file of test, or export AWS_REGION"
    )


def test_find_account_returns_the_account_of_the_credentials() -> None:
    client = StubbedClient("sts")
    client.stub.add_response("get_caller_identity", {"Account": ACCOUNT})
    assert find_account(BUILT, client, "eu-central-1") == TARGET


def test_find_account_refuses_another_account() -> None:
    client = StubbedClient("sts")
    client.stub.add_response("get_caller_identity", {"Account": ACCOUNT})
    ours = settings(account="210987654321")
    assert complaint(lambda: find_account(ours, client, "eu-central-1")) == (
        "the credentials are for account 123456789012, but test belongs to account 210987654321: "
        "choose another AWS_PROFILE"
    )


def test_find_account_refuses_expired_credentials() -> None:
    client = StubbedClient("sts")
    client.stub.add_client_error("get_caller_identity", "ExpiredToken", "The token\nhas expired")
    text = complaint(lambda: find_account(BUILT, client, "eu-central-1"))
    assert "The token has expired" in text
    assert text.endswith("run `aws sso login`, or renew them")


def failing(error: Exception) -> Client:
    def client(service: str, region: str) -> Any:
        raise error

    return client


def test_find_account_without_credentials_says_what_to_do() -> None:
    client = failing(NoCredentialsError())
    assert complaint(lambda: find_account(BUILT, client, "eu-central-1")) == (
        "no AWS credentials: run `aws configure sso`, or export AWS_PROFILE"
    )


def test_find_account_reports_that_aws_cannot_be_reached() -> None:
    client = failing(EndpointConnectionError(endpoint_url="https://sts.eu-central-1"))
    text = complaint(lambda: find_account(BUILT, client, "eu-central-1"))
    assert text.startswith("AWS cannot be reached: ")
    assert "https://sts.eu-central-1" in text


def test_check_bootstrap_accepts_a_bootstrapped_region() -> None:
    client = StubbedClient("ssm")
    client.stub.add_response(
        "get_parameter", {"Parameter": {"Value": "28"}}, {"Name": BOOTSTRAP_PARAMETER}
    )
    check_bootstrap(client, TARGET)
    client.stub.assert_no_pending_responses()


def test_check_bootstrap_says_how_to_bootstrap() -> None:
    client = StubbedClient("ssm")
    client.stub.add_client_error("get_parameter", "ParameterNotFound")
    assert complaint(lambda: check_bootstrap(client, TARGET)) == (
        "CDK is not bootstrapped in eu-central-1: run `node_modules/.bin/cdk bootstrap "
        "aws://123456789012/eu-central-1` with .venv/bin first in PATH"
    )


def test_check_bootstrap_reports_that_it_cannot_tell() -> None:
    client = StubbedClient("ssm")
    client.stub.add_client_error("get_parameter", "AccessDeniedException", "not allowed")
    text = complaint(lambda: check_bootstrap(client, TARGET))
    assert text.startswith("cannot see whether CDK is bootstrapped: ")
    assert "not allowed" in text


def docker(answers: Mapping[str, str | None]) -> Run:
    """Return a docker that answers its subcommands, and fails at those without an answer."""

    def run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        assert command[0] == "docker"
        answer = answers.get(command[1])
        return subprocess.CompletedProcess(command, 1 if answer is None else 0, answer or "")

    return run


def missing(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    raise FileNotFoundError(command[0])


BOTH = {"version": "29.1", "buildx": "Platforms: linux/amd64, linux/arm64"}
FINISHED = {"relay": {"image": "registry/relay:1"}, "inference": {"image": "registry/worker:1"}}


def test_check_docker_accepts_a_builder_for_both_processors() -> None:
    check_docker(BUILT, docker(BOTH), machine="x86_64")
    check_docker(BUILT, docker(BOTH), machine="aarch64")


def test_check_docker_needs_no_docker_for_finished_images() -> None:
    check_docker(settings(**FINISHED), missing)


def test_check_docker_builds_the_image_of_balanced_fronts() -> None:
    front = {"home": "balancer", "domain_name": "a.test.example", "hosted_zone_id": "Z1"}
    text = complaint(lambda: check_docker(settings(**FINISHED, front=front), missing))
    assert text.endswith("name finished images as front.image")
    check_docker(settings(**FINISHED, front={**front, "image": "registry/front:1"}), missing)


@pytest.mark.parametrize("domain", ["axon.example.com", "example.com"])
def test_check_domain_refuses_the_example_of_prod(domain: str) -> None:
    front = {"home": "balancer", "domain_name": domain, "hosted_zone_id": "Z1"}
    text = complaint(lambda: check_domain(settings(front=front)))
    assert text.startswith(f"front.domain_name {domain} is an example: set it and ")
    check_domain(settings(front={**front, "domain_name": "axon.myexample.com"}))
    check_domain(BUILT)


def test_check_domain_is_needed_for_the_file_of_prod() -> None:
    assert "front.hosted_zone_id" in complaint(lambda: check_domain(load("prod")))


@pytest.mark.parametrize("run", [missing, docker({})], ids=["absent", "stopped"])
def test_check_docker_reports_a_missing_docker(run: Run) -> None:
    assert complaint(lambda: check_docker(BUILT, run, machine="x86_64")) == (
        "Docker is not running, and images must be built: start it, or name finished images as "
        "relay.image and inference.image"
    )


def test_check_docker_reports_a_missing_buildx() -> None:
    run = docker({"version": "29.1"})
    assert "no buildx" in complaint(lambda: check_docker(BUILT, run, machine="x86_64"))


@pytest.mark.parametrize(
    ("machine", "lacks"), [("x86_64", "arm64"), ("aarch64", "amd64"), ("sparc64", "arm64")]
)
def test_check_docker_reports_a_missing_platform(machine: str, lacks: str) -> None:
    run = docker({"version": "29.1", "buildx": "Platforms: linux/riscv64"})
    text = complaint(lambda: check_docker(BUILT, run, machine=machine))
    assert text.startswith(f"Docker cannot build for linux/{lacks} here: run `docker run ")
    assert f"--install {lacks}`" in text


def test_check_docker_needs_no_buildx_for_one_processor() -> None:
    relay = settings(relay={"architecture": "x86_64"})
    check_docker(relay, docker({"version": "29.1"}), machine="x86_64")


def test_check_python_refuses_3_11() -> None:
    for python in ("3.12", "3.13", "3.14"):
        check_python(settings(functions={"python": python}))
    text = complaint(lambda: check_python(settings(functions={"python": "3.11"})))
    assert text.startswith("functions.python 3.11 ")
    assert text.endswith("set 3.12 or newer")


def test_check_command_reports_a_missing_cdk(tmp_path: Path) -> None:
    command = tmp_path / "cdk"
    assert complaint(lambda: check_command(command)) == "there is no cdk command: run `make setup`"
    command.touch()
    check_command(command)
