"""The Lambda client against the service, and what a function sees."""

import json
import sys
from pathlib import Path

import pytest
from mypy_boto3_lambda.client import LambdaClient

from local.lambda_service.invoke_api import EVENT_LIMIT_BYTES, REQUEST_LIMIT_BYTES
from tests.integration.local.lambda_service.conftest import Invoke
from tests.integration.local.service_harness import ServiceHarness
from tests.support.eventually import wait_until


def test_invoke_returns_the_result(client: LambdaClient) -> None:
    answer = client.invoke(FunctionName="plain", Payload=json.dumps({"echo": "ä"}))
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert dict(answer).get("FunctionError") is None
    assert json.loads(answer["Payload"].read())["event"] == {"echo": "ä"}


def test_invoke_without_a_payload_sends_an_empty_event(client: LambdaClient) -> None:
    answer = client.invoke(FunctionName="plain")
    assert json.loads(answer["Payload"].read())["event"] is None


def test_invoke_takes_an_arn(client: LambdaClient) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:plain"
    answer = client.invoke(FunctionName=arn, Payload="{}")
    assert json.loads(answer["Payload"].read())["arn"] == arn


def test_invoke_returns_the_error_that_a_function_raises(invoke: Invoke) -> None:
    answer = invoke("plain", **{"raise": "no luck"})
    assert answer["error"] == "Unhandled"
    assert (answer["errorType"], answer["errorMessage"]) == ("ValueError", "no luck")
    assert "handler.py" in answer["stackTrace"][0]


def test_invoke_of_an_unknown_function_is_a_404(client: LambdaClient) -> None:
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="nobody", Payload="{}")


def test_environment_variables_are_those_of_lambda_and_the_configuration(invoke: Invoke) -> None:
    answer = invoke("plain", environment=True)
    environment = answer["environment"]
    assert environment.pop("AWS_LAMBDA_RUNTIME_API").startswith("127.0.0.1:")
    assert Path(environment.pop("PYTHONPATH")).is_dir()
    assert Path(environment.pop("LAMBDA_TASK_ROOT")) == Path(answer["cwd"])
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert environment.pop("AWS_EXECUTION_ENV") == f"AWS_Lambda_python{version}"
    environment.pop("LC_CTYPE", None)
    assert environment == {
        "COLOUR": "blue",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "plain",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/plain",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "_HANDLER": "handler.handler",
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TZ": ":UTC",
    }


def test_import_path_has_the_code_before_the_layers_before_packages(
    invoke: Invoke, layer: Path
) -> None:
    answer = invoke("plain")
    assert answer["path"][:2] == [answer["cwd"], str(layer)]


def test_context_has_the_fields_of_lambda(invoke: Invoke) -> None:
    answer = invoke("plain")
    assert 18_000 < answer["remaining_ms"] <= 20_000
    assert len(answer["request_id"]) == 36
    assert answer["memory"] == "128"


def test_asynchronous_invocation_is_accepted_and_runs(client: LambdaClient, tmp_path: Path) -> None:
    note = tmp_path / "note"
    answer = client.invoke(
        FunctionName="plain", InvocationType="Event", Payload=json.dumps({"note": str(note)})
    )
    assert answer["StatusCode"] == 202
    assert wait_until(note.exists)


def test_asynchronous_invocation_that_fails_is_tried_three_times(
    client: LambdaClient, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    event = {"note": str(note), "raise": "again"}
    client.invoke(FunctionName="reuse", InvocationType="Event", Payload=json.dumps(event))
    wait_until(lambda: note.exists() and len(note.read_text().splitlines()) == 3)


@pytest.mark.parametrize(
    ("kind", "limit"),
    [("RequestResponse", REQUEST_LIMIT_BYTES), ("Event", EVENT_LIMIT_BYTES)],
)
def test_invoke_refuses_a_payload_above_the_limit(
    client: LambdaClient, kind: str, limit: int
) -> None:
    payload = json.dumps({"padding": ""})
    payload = json.dumps({"padding": "x" * (limit - len(payload))})
    client.invoke(FunctionName="plain", InvocationType=kind, Payload=payload)  # type: ignore[arg-type]
    with pytest.raises(client.exceptions.RequestTooLargeException):
        client.invoke(FunctionName="plain", InvocationType=kind, Payload=payload + " ")  # type: ignore[arg-type]


def test_invoke_fails_for_a_response_above_the_limit(invoke: Invoke) -> None:
    answer = invoke("crash", bytes=7 * 1024 * 1024)
    assert answer["errorType"] == "Function.ResponseSizeTooLarge"
    assert invoke("crash", bytes=5 * 1024 * 1024)["padding"]


def test_invoke_refuses_an_unsupported_type(client: LambdaClient) -> None:
    with pytest.raises(client.exceptions.InvalidParameterValueException):
        client.invoke(FunctionName="plain", InvocationType="DryRun")


def test_function_output_is_in_the_log_with_its_name(
    invoke: Invoke, service: ServiceHarness
) -> None:
    invoke("plain", print="eins\nzwei")
    wait_until(lambda: "[plain] eins\n[plain] zwei\n" in service.log.read_text())
    assert "[plain] init of plain\n" in service.log.read_text()
