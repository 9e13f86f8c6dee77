"""`axon keys`, an example of a command that invokes a function, before a stand-in for Lambda."""

import json
import os
import re
from pathlib import Path

import pytest

from cli.functions import Function
from cli.main import main
from tests.unit.cli.command_harness import failure, mark_as_running
from tests.unit.cli.conftest import FakeLambda


def failed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    return failure(capsys, "keys", *arguments)


def test_keys_create_invokes_the_function_of_the_environment(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.payload = b'{"key": {"key_id": "key_1"}, "secret": "sk-axon-1"}'
    assert main(["keys", "create", "ci", "--env", "prod", "--region", "eu-central-1"]) == 0
    event = {"action": "create", "tenant_id": "default", "name": "ci"}
    assert service.asked == [("axon-prod-keys", event)]
    assert "/eu-central-1/lambda/aws4_request" in service.signed_with
    output = capsys.readouterr()
    assert output.out == "sk-axon-1\n"
    assert "key_1 for tenant default" in output.err


@pytest.mark.parametrize(
    ("given", "days", "said"),
    [("90", 90, "for 90 days"), ("forever", 0, "for ever"), ("default", None, "the default time")],
)
def test_keys_retention_sets_the_days_of_a_tenant(
    service: FakeLambda, capsys: pytest.CaptureFixture[str], given: str, days: int, said: str
) -> None:
    service.payload = json.dumps({"tenant_id": "acme", "days": days}).encode()
    assert main(["keys", "retention", "acme", given, "--env", "prod"]) == 0
    event = {"action": "set_retention", "tenant_id": "acme", "days": days}
    assert service.asked == [("axon-prod-keys", event)]
    assert said in capsys.readouterr().out


def test_keys_revoke_fails_if_open_connections_cannot_be_closed(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.payload = b'{"revoked": "key_1"}'
    assert main(["keys", "revoke", "key_1", "--env", "prod"]) == 0
    assert capsys.readouterr() == ("key_1 is revoked\n", "")
    service.payload = b'{"revoked": "key_1", "open_connections": "Valkey does not answer"}'
    assert main(["keys", "revoke", "key_1", "--env", "prod"]) == 1
    assert capsys.readouterr() == ("key_1 is revoked\n", "axon: Valkey does not answer\n")


@pytest.mark.parametrize("given", ["0", "-1", "many"])
def test_keys_retention_refuses_what_is_no_number_of_days(
    capsys: pytest.CaptureFixture[str], given: str
) -> None:
    with pytest.raises(SystemExit):
        main(["keys", "retention", "acme", given, "--env", "prod"])
    assert "forever" in capsys.readouterr().err


def test_keys_list_shows_a_row_a_key(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    key = {"key_id": "key_1", "tenant_id": "t", "name": "ci", "hint": "abcd", "revoked_at": None}
    times = {"created_at": "2026-11-21T09:08:07.123456+00:00"}
    service.payload = json.dumps({"keys": [key | times]}).encode()
    assert main(["keys", "list", "--env", "prod"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    cells = ["key_1", "t", "ci", "...abcd", "2026-11-21 09:08", "valid"]
    assert re.split(r"\s{2,}", line) == cells


def test_function_takes_the_region_from_the_environment(
    service: FakeLambda, monkeypatch: pytest.MonkeyPatch
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
def test_function_explains_a_refusal_of_aws(
    service: FakeLambda, capsys: pytest.CaptureFixture[str], error: str, text: str
) -> None:
    service.status, service.payload = 400, b'{"message": "because"}'
    service.headers = {"x-amzn-ErrorType": error}
    code, line = failed(capsys, "list", "--env", "prod")
    assert code == 1
    assert text in line


def test_function_is_not_invoked_again_after_a_failure(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.status, service.payload = 500, b'{"message": "no"}'
    failed(capsys, "create", "ci", "--env", "prod")
    assert len(service.asked) == 1


def test_function_shows_the_error_that_the_handler_returns(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.payload = b'{"error": {"code": "not_found", "message": "there is no key x"}}'
    assert failed(capsys, "revoke", "x", "--env", "prod") == (1, "there is no key x")


def test_function_shows_why_the_handler_failed(
    service: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    service.headers = {"X-Amz-Function-Error": "Unhandled"}
    service.payload = b'{"errorType": "E", "errorMessage": "Task timed out\\nafter 29 seconds"}'
    _, line = failed(capsys, "list", "--env", "prod")
    assert line == "the function axon-prod-keys failed: Task timed out after 29 seconds"


def test_function_of_the_local_cloud_needs_no_credentials(
    service: FakeLambda,
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


def test_function_reports_a_local_cloud_that_has_just_stopped(tmp_path: Path) -> None:
    mark_as_running(tmp_path)
    assert main(["keys", "list", "--data", str(tmp_path)]) == 1
