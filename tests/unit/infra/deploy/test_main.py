"""The order of things: settings before checks, checks before `cdk`."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.deploy import __main__ as deploy
from infra.deploy import checks
from infra.deploy.checks import CheckError, Target

OUTPUTS = {"axon-dev-x": {"WebSocketUrl": "wss://x", "HttpUrl": "http://x/v1"}}
TEMPLATE = {"Resources": {"Key": {"Type": "AWS::KMS::Key", "DeletionPolicy": "Retain"}}}

CDK = f"""#!/bin/sh
echo "$@" >> LOG
echo "$AWS_REGION $JSII_NODE $PATH" >> LOG
while [ $# -gt 0 ]; do
  case $1 in
    --output) mkdir -p "$2"; echo '{json.dumps(TEMPLATE)}' > "$2/axon-dev-x.template.json" ;;
    --outputs-file) echo '{json.dumps(OUTPUTS)}' > "$2" ;;
  esac
  shift
done
exit ${{CDK_EXIT:-0}}
"""


class CdkHarness:
    """A repository with a `cdk` that writes down how it was called."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._log = root / "log"
        self.cdk = root / "cdk"
        self.cdk.write_text(CDK.replace("LOG", str(self._log)))
        self.cdk.chmod(self.cdk.stat().st_mode | stat.S_IEXEC)

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().splitlines()[::2] if self._log.exists() else []

    @property
    def variables(self) -> str:
        return self._log.read_text().splitlines()[-1]


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CdkHarness:
    made = CdkHarness(tmp_path)
    monkeypatch.setattr(deploy, "ROOT", tmp_path)
    monkeypatch.setattr(deploy, "CDK", made.cdk)
    monkeypatch.delenv("AWS_REGION", raising=False)
    return made


_OF_BOTO3 = boto3.Session
"""As it is before a test puts `Session` in its place, where `boto3.client` would find that one."""


class Session:
    """Credentials of an account in which CDK is bootstrapped, or not."""

    region_name = "eu-central-1"

    def __init__(self, *, bootstrapped: bool) -> None:
        self._bootstrapped = bootstrapped

    def client(self, service: str, *, region_name: str) -> Any:
        client: Any = _OF_BOTO3().client(
            service,  # type: ignore[call-overload]
            region_name=region_name,
            aws_access_key_id="nobody",
            aws_secret_access_key="nothing",
        )
        stub = Stubber(client)
        if service == "sts":
            stub.add_response("get_caller_identity", {"Account": "123456789012"})
        elif self._bootstrapped:
            stub.add_response("get_parameter", {"Parameter": {"Value": "28"}})
        else:
            stub.add_client_error("get_parameter", "ParameterNotFound")
        stub.activate()
        return client


@pytest.fixture
def _ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS and Docker are as they must be."""
    target = Target(account="123456789012", region="eu-central-1")
    monkeypatch.setattr(deploy, "_checked", lambda _: target)
    monkeypatch.setattr(checks, "check_docker", lambda *_: None)


def test_synth_writes_the_templates(
    harness: CdkHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy.main(["synth", "dev"]) == 0
    folder = harness.root / "cdk.out" / "dev"
    (call,) = harness.calls
    assert call == f"synth --context env=dev --output {folder} --no-notices --quiet"
    assert f"{folder}: 1 templates, 1 resources" in capsys.readouterr().out


def test_synth_returns_the_exit_code_of_cdk(
    harness: CdkHarness, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDK_EXIT", "3")
    assert deploy.main(["synth", "dev"]) == 3
    assert "templates" not in capsys.readouterr().out


def test_synth_puts_the_virtual_environment_first_in_path(harness: CdkHarness) -> None:
    deploy.main(["synth", "dev"])
    _, node, path = harness.variables.split(" ", 2)
    assert Path(node).name == "node"
    assert path.split(os.pathsep)[0] == str(Path(node).parent)


@pytest.mark.parametrize("action", ["synth", "deploy", "destroy"])
def test_main_reports_invalid_settings_before_anything_else(
    action: str, harness: CdkHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = harness.root / "wrong.toml"
    wrong.write_text('name = "wrong"\nsize = "large"\n')
    assert deploy.main([action, str(wrong)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("axon: wrong.toml: size: ")
    assert error.count("\n") == 1
    assert harness.calls == []


@pytest.mark.usefixtures("_ready")
def test_deploy_deploys_all_stacks_and_reports(
    harness: CdkHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy.main(["deploy", "dev", "--require-approval", "never"]) == 0
    (call,) = harness.calls
    outputs = harness.root / "cdk.out" / "dev.outputs.json"
    assert call.startswith("deploy --context env=dev --output ")
    assert call.endswith(f" --all --outputs-file {outputs} --require-approval never")
    assert harness.variables.startswith("eu-central-1 ")
    assert "Axon dev stands in eu-central-1." in capsys.readouterr().out


@pytest.mark.usefixtures("_ready")
def test_deploy_that_fails_prints_no_report(
    harness: CdkHarness, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDK_EXIT", "1")
    assert deploy.main(["deploy", "dev"]) == 1
    assert "axon keys" not in capsys.readouterr().out


@pytest.mark.usefixtures("_ready")
def test_deploy_refuses_a_python_whose_wheels_would_not_run(
    harness: CdkHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    old = harness.root / "old.toml"
    old.write_text('name = "old"\n[functions]\npython = "3.11"\n')
    assert deploy.main(["deploy", str(old)]) == 2
    assert capsys.readouterr().err.startswith("axon: functions.python 3.11 ")
    assert harness.calls == []


def test_deploy_runs_nothing_before_the_checks(
    harness: CdkHarness, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unready(*_: Any) -> Target:
        raise CheckError("no AWS credentials: get some")

    monkeypatch.setattr(deploy, "_checked", unready)
    assert deploy.main(["deploy", "dev"]) == 2
    assert deploy.main(["destroy", "dev"]) == 2
    assert capsys.readouterr().err == "axon: no AWS credentials: get some\n" * 2
    assert harness.calls == []


@pytest.mark.parametrize("bootstrapped", [True, False])
def test_deploy_and_destroy_check_the_account(
    bootstrapped: bool,
    harness: CdkHarness,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setattr(boto3, "Session", lambda: Session(bootstrapped=bootstrapped))
    monkeypatch.setattr(checks, "check_docker", lambda *_: None)
    assert deploy.main(["deploy", "dev"]) == (0 if bootstrapped else 2)
    assert len(harness.calls) == bootstrapped
    said = capsys.readouterr()
    if bootstrapped:
        assert "deploying dev to account 123456789012, eu-central-1\n" in said.out
    else:
        assert said.err.startswith("axon: CDK is not bootstrapped in eu-central-1: ")


def test_deploy_reports_an_unknown_profile(
    harness: CdkHarness, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(harness.root / "none"))
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert deploy.main(["deploy", "dev"]) == 2
    assert capsys.readouterr().err == (
        "axon: The config profile (nobody) could not be found: choose another AWS_PROFILE\n"
    )


@pytest.mark.usefixtures("_ready")
def test_destroy_lists_what_is_kept(
    harness: CdkHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy.main(["destroy", "dev", "--force"]) == 0
    synth, destroy = harness.calls
    assert synth.startswith("synth ")
    assert destroy.startswith("destroy ")
    assert destroy.endswith(" --all --force")
    assert "  1 AWS::KMS::Key" in capsys.readouterr().out


def test_main_without_cdk_says_what_to_do(
    harness: CdkHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.cdk.unlink()
    assert deploy.main(["synth", "dev"]) == 2
    assert capsys.readouterr().err == "axon: there is no cdk command: run `make setup`\n"
