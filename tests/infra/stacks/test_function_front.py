"""The front as a Lambda function, and its URL."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from aws_cdk import App
from aws_cdk import aws_lambda as lambda_

from axon.settings import FrontSettings
from front.memory import decoded_bytes
from infra.application import build
from infra.constructs.functions.front_function import FOLDER, RESTING_BYTES, RUNTIME
from infra.constructs.functions.wheels import ROOT
from infra.settings.environment import EnvironmentSettings
from tests.infra.conftest import Templates
from tests.infra.support.templates import Properties, listed, only, resources, text


@pytest.fixture
def function(dev: Templates) -> Properties:
    return only(dev["front"], "AWS::Lambda::Function")


def test_function_environment_is_valid_front_settings(function: Properties) -> None:
    given = {name: text(value) for name, value in function["Environment"]["Variables"].items()}
    parsed = FrontSettings.from_environ(given)
    assert parsed.models == ("smollm2-135m-instruct",)
    assert parsed.workers_service == "axon-dev-worker"
    # The alarm on failures reads JSON.
    assert parsed.log_format == "json"
    assert parsed.database_connections == 1
    # Nothing but Lambda reaches it: no port for health, and 8080 on the loopback interface.
    assert (parsed.health_port, parsed.http_host) == (0, "127.0.0.1")
    known = {f"AXON_{field.upper()}" for field in FrontSettings.model_fields}
    assert {name for name in given if name.startswith("AXON_")} <= known
    assert given["AWS_LAMBDA_EXEC_WRAPPER"] == f"/var/task/{RUNTIME}"


def test_function_has_lambdas_longest_time_and_reserves_nothing(function: Properties) -> None:
    assert function["Timeout"] == 900
    assert function["MemorySize"] == 256
    # New accounts have too little to reserve any.
    assert "ReservedConcurrentExecutions" not in function


def test_function_has_the_memory_that_its_bodies_may_take(function: Properties) -> None:
    given = {name: text(value) for name, value in function["Environment"]["Variables"].items()}
    parsed = FrontSettings.from_environ(given)
    memory = function["MemorySize"] * 2**20
    assert RESTING_BYTES + parsed.body_memory_bytes < memory
    # The longest body of ASCII is taken: in thousands of values.
    longest = b"x" * parsed.longest_body
    assert decoded_bytes(longest, values=10_000) < parsed.body_memory_bytes


def test_function_is_in_private_subnets_with_the_rights_of_the_functions(
    function: Properties,
) -> None:
    network = function["VpcConfig"]
    assert all("privateSubnet" in text(subnet) for subnet in network["SubnetIds"])
    (group,) = network["SecurityGroupIds"]
    assert "FunctionsGroup" in text(group)


def test_function_url_streams_and_leaves_keys_to_the_front(dev: Templates) -> None:
    url = only(dev["front"], "AWS::Lambda::Url")
    assert (url["AuthType"], url["InvokeMode"]) == ("NONE", "RESPONSE_STREAM")
    # Headers of CORS come from the front alone, not twice.
    assert "Cors" not in url
    (output,) = dev["front"].find_outputs("HttpUrl").values()
    assert text(output["Value"]).endswith(".FunctionUrl}v1")


def test_function_may_be_invoked_by_its_url_alone(dev: Templates) -> None:
    """Since October 2025 an URL needs both permissions."""
    permissions = resources(dev["front"], "AWS::Lambda::Permission").values()
    assert {each["Action"] for each in permissions} == {
        "lambda:InvokeFunctionUrl",
        "lambda:InvokeFunction",
    }
    for each in permissions:
        assert each["Principal"] == "*"
        assert each.get("FunctionUrlAuthType") == "NONE" or each["InvokedViaFunctionUrl"] is True


def test_function_role_allows_only_what_the_front_does(dev: Templates) -> None:
    actions = {
        action
        for policy in resources(dev["front"], "AWS::IAM::Policy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
    }
    assert {"elasticache:Connect", "rds-db:connect", "sqs:SendMessage"} < actions
    assert not {
        each
        for each in actions
        if each.endswith("*") or each.startswith(("sqs:Receive", "execute-api:"))
    }
    # Payloads, never models.
    assert {each for each in actions if each.startswith("s3:")} == {
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
    }


def test_function_alarms_on_failures_and_throttles(dev: Templates) -> None:
    alarms = resources(dev["front"], "AWS::CloudWatch::Alarm").values()
    names = {alarm["AlarmName"] for alarm in alarms}
    # A long answer is no failure: none on the duration.
    assert names == {"axon-dev-front-failures", "axon-dev-front-throttles"}


def test_function_concurrency_can_be_reserved(tmp_path: Path) -> None:
    front = {"home": "function", "reserved_concurrency": 20}
    settings = EnvironmentSettings.model_validate({"name": "mine", "front": front})
    app = App(outdir=str(tmp_path), context={"aws:cdk:bundling-stacks": []})
    stack = build(app, settings)["front"]
    (function,) = (node for node in stack.node.find_all() if isinstance(node, lambda_.CfnFunction))
    assert function.reserved_concurrent_executions == 20


def test_runtime_script_runs_the_front_with_lambdas_interpreter(tmp_path: Path) -> None:
    script = ROOT / FOLDER / RUNTIME
    # The zip file keeps the permission; Lambda refuses a wrapper without it.
    assert script.stat().st_mode & stat.S_IXOTH
    interpreter = tmp_path / "python"
    interpreter.write_text('#!/bin/sh\necho "$PYTHONPATH" "$@"\n')
    interpreter.chmod(0o755)
    done = subprocess.run(
        [script, interpreter, "/var/runtime/bootstrap.py"],
        env=os.environ | {"LAMBDA_TASK_ROOT": "/var/task", "PYTHONPATH": "/var/runtime"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "/var/task:/opt/python:/var/runtime -m front\n"
