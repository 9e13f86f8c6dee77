"""`axon keys`, and what every command that asks a function says, before a stand-in for Lambda."""

import json
import os
import re
from pathlib import Path

import pytest

from cli.functions import Function
from cli.main import main
from tests.unit.cli.conftest import Lambda


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run `axon keys`; return the exit code and its one line about what went wrong."""
    code = main(["keys", *arguments])
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("axon: ")
    return code, line.removeprefix("axon: ").strip()


def test_on_aws_it_asks_the_environments_function(
    service: Lambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.payload = b'{"key": {"key_id": "key_1"}, "secret": "sk-axon-1"}'
    assert main(["keys", "create", "ci", "--env", "prod", "--region", "eu-central-1"]) == 0
    event = {"action": "create", "tenant_id": "default", "name": "ci"}
    assert service.asked == [("axon-prod-keys", event)]
    assert "/eu-central-1/lambda/aws4_request" in service.signed_with
    output = capsys.readouterr()
    assert output.out == "sk-axon-1\n"
    assert "key_1 for tenant default" in output.err


def test_the_list(service: Lambda, capsys: pytest.CaptureFixture[str]) -> None:
    key = {"key_id": "key_1", "tenant_id": "t", "name": "ci", "hint": "abcd", "revoked_at": None}
    times = {"created_at": "2026-11-21T09:08:07.123456+00:00"}
    service.payload = json.dumps({"keys": [key | times]}).encode()
    assert main(["keys", "list", "--env", "prod"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    cells = ["key_1", "t", "ci", "...abcd", "2026-11-21 09:08", "valid"]
    assert re.split(r"\s{2,}", line) == cells


def test_the_region_may_come_from_the_environment(
    service: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert main(["keys", "list", "--env", "prod"]) == 0
    assert "/eu-west-3/lambda/aws4_request" in service.signed_with


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("ResourceNotFoundException", "no Axon environment 'prod' is deployed in this account"),
        ("AccessDeniedException", "it takes the permission lambda:InvokeFunction on axon-prod-k"),
        ("ExpiredTokenException", "AWS refuses the credentials: because"),
        ("UnrecognizedClientException", "AWS refuses the credentials: because"),
        ("TooManyRequestsException", "AWS: TooManyRequestsException: because"),
    ],
)
def test_what_aws_refuses(
    service: Lambda, capsys: pytest.CaptureFixture[str], error: str, text: str
) -> None:
    service.status, service.payload = 400, b'{"message": "because"}'
    service.headers = {"x-amzn-ErrorType": error}
    code, line = said(capsys, "list", "--env", "prod")
    assert code == 1
    assert text in line


def test_a_call_is_not_repeated(service: Lambda, capsys: pytest.CaptureFixture[str]) -> None:
    service.status, service.payload = 500, b'{"message": "no"}'
    said(capsys, "create", "ci", "--env", "prod")
    assert len(service.asked) == 1


def test_what_the_function_refuses(service: Lambda, capsys: pytest.CaptureFixture[str]) -> None:
    service.payload = b'{"error": {"code": "not_found", "message": "there is no key x"}}'
    assert said(capsys, "revoke", "x", "--env", "prod") == (1, "there is no key x")


def test_a_function_that_fails(service: Lambda, capsys: pytest.CaptureFixture[str]) -> None:
    service.headers = {"X-Amz-Function-Error": "Unhandled"}
    service.payload = b'{"errorType": "E", "errorMessage": "Task timed out\\nafter 29 seconds"}'
    _, line = said(capsys, "list", "--env", "prod")
    assert line == "the function axon-prod-keys failed: Task timed out after 29 seconds"


def test_without_credentials(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    code, line = said(capsys, "list", "--env", "prod")
    assert code == 2
    assert "no AWS credentials found; set AWS_PROFILE" in line


def test_without_a_region(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    expected = (2, "no AWS region; give one with --region")
    assert said(capsys, "list", "--env", "prod") == expected


def test_an_unknown_profile(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    _, line = said(capsys, "list", "--env", "prod")
    assert line == "The config profile (nobody) could not be found"


def test_a_region_without_an_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "list", "--region", "eu-west-1") == (2, "--region needs --env")


def test_here_it_asks_the_local_cloud(
    service: Lambda,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = os.environ["AWS_ENDPOINT_URL_LAMBDA"]
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    function = Function(name="keys", region="us-east-1", endpoint=endpoint, if_missing="old")
    monkeypatch.setattr(Function, "local", lambda *_: function)
    service.payload = b'{"key": {"key_id": "key_1"}, "secret": "sk-axon-1"}'
    assert main(["keys", "create", "me", "--data", str(tmp_path)]) == 0
    event = {"action": "create", "tenant_id": "local", "name": "me"}
    assert service.asked == [("keys", event)]


def test_a_local_cloud_that_has_just_stopped(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    names = ("base_url", "api_key", "engine", "model", "valkey_url", "aws_endpoint")
    content = dict.fromkeys(names, "") | {"queues": {}, "lambda_endpoint": "http://127.0.0.1:9"}
    (tmp_path / "run" / "endpoints.json").write_text(json.dumps(content))
    (tmp_path / "run" / "supervisor.pid").write_text(str(os.getpid()))
    assert main(["keys", "list", "--data", str(tmp_path)]) == 1
