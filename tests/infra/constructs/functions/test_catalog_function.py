"""The functions as AWS runs them: what each is given, may do, and is made of."""

import json
import logging
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from axon import catalog
from infra.constructs.functions.catalog_function import CERTIFICATES, FAILURES
from infra.constructs.functions.wheels import ROOT
from infra.settings.environment import load
from tests.infra.conftest import Synthesised, Templates, synthesise
from tests.infra.support.templates import Properties, listed, resources, text

OWN_LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
INTERFACES = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
}
TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
EACH = OWN_LOGS | INTERFACES | TRACES
VALKEY = {"elasticache:Connect"}
POSTGRES = {"rds-db:connect"}
SEND = {"sqs:SendMessage", "kms:Decrypt", "kms:GenerateDataKey"}
CONSUME = {
    "sqs:ReceiveMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueUrl",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "kms:Decrypt",
}
PUT_PAYLOADS = {"s3:PutObject", "kms:GenerateDataKey"}
GET_PAYLOADS = {"s3:GetObject", "s3:ListBucket", "kms:Decrypt"}
DELETE_PAYLOADS = {"s3:DeleteObject"}
PAYLOADS = re.compile(r"/(stored|unstored)/\*$")
"""All objects below a prefix: their names are random."""
WAKE = {"ecs:DescribeServices", "ecs:UpdateService"}

ALLOWED = {
    "authorizer": VALKEY | POSTGRES,
    "connect": VALKEY,
    "disconnect": VALKEY,
    "respond": VALKEY | POSTGRES | SEND | WAKE | PUT_PAYLOADS | DELETE_PAYLOADS,
    "write_history": VALKEY | POSTGRES | CONSUME | SEND | GET_PAYLOADS | DELETE_PAYLOADS,
    "expire": POSTGRES,
    "dead_letter": VALKEY | SEND | CONSUME,
    "migrate": {"secretsmanager:GetSecretValue", "kms:Decrypt"},
    "keys": VALKEY | POSTGRES,
    "models": VALKEY | POSTGRES,
}


@pytest.fixture(params=["dev", "prod"])
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def templates(environment: str, dev: Templates, prod: Templates) -> Templates:
    return {"dev": dev, "prod": prod}[environment]


def full_name(environment: str, name: str) -> str:
    return f"axon-{environment}-{name.replace('_', '-')}"


def function(templates: Templates, environment: str, name: str) -> Properties:
    wanted = full_name(environment, name)
    functions = resources(templates["gateway"], "AWS::Lambda::Function").values()
    return next(each for each in functions if each.get("FunctionName") == wanted)


def statements(templates: Templates, environment: str, name: str) -> list[dict[str, Any]]:
    """Return every statement of the function's role; it has no managed policies."""
    made = function(templates, environment, name)
    role = made["Role"]["Fn::GetAtt"][0]
    gateway = templates["gateway"]
    assert "ManagedPolicyArns" not in resources(gateway, "AWS::IAM::Role")[role]
    return [
        statement
        for policy in resources(gateway, "AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Roles"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]


@pytest.mark.parametrize("name", catalog.FUNCTIONS)
def test_function_environment_satisfies_the_settings_of_its_handler(
    templates: Templates, environment: str, name: str
) -> None:
    given = function(templates, environment, name)["Environment"]["Variables"]
    variables = {key: text(value) for key, value in given.items()}
    model = catalog.FUNCTIONS[name].settings

    model.from_environ(variables)

    # What no setting is called would be ignored without a word.
    known = {f"AXON_{field.upper()}" for field in model.model_fields}
    assert {key for key in variables if key.startswith("AXON_")} <= known


@pytest.mark.parametrize("name", catalog.FUNCTIONS)
def test_function_handler_reads_the_settings_that_the_catalog_names(name: str) -> None:
    handler = ROOT / "functions" / name / "handler.py"
    read = re.findall(r"(\w+)\.from_environ\(os\.environ\)", handler.read_text())
    assert read == [catalog.FUNCTIONS[name].settings.__name__]


def test_function_models_knows_the_deployments_own_model(dev: Templates) -> None:
    variables = function(dev, "dev", "models")["Environment"]["Variables"]
    assert variables["AXON_MODELS"] == load("dev").inference.model_name


def test_function_respond_knows_the_models_and_the_worker_service(dev: Templates) -> None:
    variables = function(dev, "dev", "respond")["Environment"]["Variables"]
    assert variables["AXON_MODELS"] == load("dev").inference.model_name
    assert "AXON_MODEL_ALIASES" not in variables
    assert variables["AXON_WORKERS_CLUSTER"] == "axon-dev-inference"
    assert variables["AXON_WORKERS_SERVICE"] == "axon-dev-worker"


@pytest.mark.parametrize("name", catalog.FUNCTIONS)
def test_function_role_allows_only_what_the_catalog_lists(
    templates: Templates, environment: str, name: str
) -> None:
    actions = {
        action
        for statement in statements(templates, environment, name)
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
    }
    assert actions == EACH | ALLOWED[name]


@pytest.mark.parametrize("name", catalog.FUNCTIONS)
def test_function_role_uses_wildcards_only_where_no_resource_has_a_name(
    templates: Templates, environment: str, name: str
) -> None:
    for statement in statements(templates, environment, name):
        if statement["Effect"] == "Allow" and set(listed(statement["Action"])) not in (
            INTERFACES,
            TRACES,
        ):
            allowed = [PAYLOADS.sub("", text(each)) for each in listed(statement["Resource"])]
            assert not any("*" in each for each in allowed)


def test_function_code_may_not_manage_network_interfaces(dev: Templates) -> None:
    denied = [each for each in statements(dev, "dev", "connect") if each["Effect"] == "Deny"]
    assert [set(each["Action"]) for each in denied] == [INTERFACES]
    condition = denied[0]["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"]
    assert text(condition).endswith(":function:axon-dev-connect")


def test_function_respond_may_start_one_service_only(dev: Templates) -> None:
    woken = [each for each in statements(dev, "dev", "respond") if set(each["Action"]) == WAKE]
    assert len(woken) == 1
    assert text(woken[0]["Resource"]).endswith(":service/axon-dev-inference/axon-dev-worker")


@pytest.mark.parametrize("name", ["disconnect", "respond", "dead_letter"])
def test_function_senders_use_the_key_through_sqs_only(dev: Templates, name: str) -> None:
    for statement in statements(dev, "dev", name):
        if "kms:GenerateDataKey" in listed(statement["Action"]):
            through = text(statement["Condition"]["StringEquals"]["kms:ViaService"])
            assert through.startswith("s3." if "s3" in text(statement) else "sqs.")


def test_function_dead_letter_sends_to_history_and_the_parked_queue(dev: Templates) -> None:
    queues = {
        text(statement["Resource"])
        for statement in statements(dev, "dev", "dead_letter")
        if listed(statement["Action"]) == ["sqs:SendMessage"]
    }
    assert len(queues) == 2
    assert all(any(name in queue for queue in queues) for name in ("HistoryQueue", "JobsParked"))


def test_function_migrate_alone_reads_the_secret_of_the_owner(templates: Templates) -> None:
    readers = {
        role["Ref"]
        for template in templates.values()
        for policy in resources(template, "AWS::IAM::Policy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if "secretsmanager:GetSecretValue" in listed(statement["Action"])
        for role in policy["Roles"]
    }
    assert len(readers) == 1
    assert readers.pop().startswith("Migrate")


@pytest.mark.parametrize("name", catalog.FUNCTIONS)
def test_function_matches_the_catalog_and_the_settings(
    templates: Templates, environment: str, name: str
) -> None:
    made, settings = function(templates, environment, name), load(environment)
    assert made["Timeout"] == catalog.FUNCTIONS[name].timeout_s
    assert made["MemorySize"] == catalog.FUNCTIONS[name].memory_mb
    assert made["Runtime"] == f"python{settings.functions.python}"
    assert made["Architectures"] == [settings.functions.architecture]
    assert made["Handler"] == "handler.handler"
    assert made["TracingConfig"] == {"Mode": "Active"}
    assert "DeadLetterConfig" not in made
    # It would refuse what the queues hold, and take from what the account has for all.
    assert "ReservedConcurrentExecutions" not in made


@pytest.mark.parametrize("name", catalog.FUNCTIONS)
def test_function_runs_in_the_private_subnets(
    templates: Templates, environment: str, name: str
) -> None:
    network = function(templates, environment, name)["VpcConfig"]
    subnets = [text(each) for each in network["SubnetIds"]]
    assert len(subnets) == load(environment).network.zones
    assert all("privateSubnet" in each for each in subnets)
    assert [("FunctionsGroup" in text(each)) for each in network["SecurityGroupIds"]] == [True]


def test_function_certificates_are_where_the_layer_has_them(dev: Templates) -> None:
    variables = function(dev, "dev", "respond")["Environment"]["Variables"]
    assert variables["SSL_CERT_FILE"] == CERTIFICATES


def test_function_logs_json_to_a_group_with_a_retention(
    templates: Templates, environment: str
) -> None:
    gateway = templates["gateway"]
    groups = resources(gateway, "AWS::Logs::LogGroup")
    days = load(environment).observability.log_retention_days
    assert {group["RetentionInDays"] for group in groups.values()} == {days}

    functions = resources(gateway, "AWS::Lambda::Function").values()
    used = [made["LoggingConfig"]["LogGroup"]["Ref"] for made in functions]
    assert len(set(used)) == len(used) == len(catalog.FUNCTIONS) + 1  # CDK's own, of the trigger
    assert set(used) <= set(groups)
    own = [made for made in functions if made["Runtime"].startswith("python")]
    assert {made["LoggingConfig"]["LogFormat"] for made in own} == {"JSON"}


def test_function_alarms_watch_functions_whose_caller_does_not_wait(
    templates: Templates, environment: str
) -> None:
    alarms = resources(templates["gateway"], "AWS::CloudWatch::Alarm").values()
    watched = {
        f"{full_name(environment, name)}-{what}"
        for name in set(catalog.FUNCTIONS) - {"migrate", "keys", "models"}
        for what in ("failures", "throttles", "duration")
    }
    assert {alarm["AlarmName"] for alarm in alarms} == watched | {
        f"axon-{environment}-gateway-errors"
    }


def test_function_duration_alarm_is_below_the_timeout(dev: Templates) -> None:
    alarms = resources(dev["gateway"], "AWS::CloudWatch::Alarm").values()
    by_name = {alarm["AlarmName"]: alarm for alarm in alarms}
    duration = by_name["axon-dev-respond-duration"]
    assert duration["ExtendedStatistic"] == "p99"
    assert duration["Threshold"] == pytest.approx(0.8 * 29_000)


def test_function_failures_are_counted_in_the_metric_of_their_alarm(dev: Templates) -> None:
    filters = resources(dev["gateway"], "AWS::Logs::MetricFilter").values()
    counted = [each["MetricTransformations"][0] for each in filters]
    assert {each["FilterPattern"] for each in filters} == {FAILURES}
    alarms = resources(dev["gateway"], "AWS::CloudWatch::Alarm").values()
    read = {
        (alarm["Namespace"], alarm["MetricName"])
        for alarm in alarms
        if alarm["AlarmName"].endswith("-failures")
    }
    assert {(each["MetricNamespace"], each["MetricName"]) for each in counted} == read


def test_function_failure_pattern_matches_what_handlers_log() -> None:
    written = StringIO()
    logger = Logger(service="test", logger_handler=logging.StreamHandler(written))
    logger.error("message failed")
    line = json.loads(written.getvalue())
    assert line["level"] == "ERROR"
    assert "errorType" not in line


def test_function_failure_pattern_matches_what_the_runtime_logs() -> None:
    program = (
        "from awslambdaric.bootstrap import log_error, make_error\n"
        "from types import SimpleNamespace\n"
        "sink = SimpleNamespace(log_error=lambda lines: print(*lines))\n"
        "log_error(make_error('no key', 'Unauthorized', []), sink)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"AWS_LAMBDA_LOG_FORMAT": "JSON"},
        capture_output=True,
        check=True,
    )
    line = json.loads(done.stdout)
    assert (line["level"], line["errorType"]) == ("ERROR", "Unauthorized")


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> tuple[Synthesised, Path]:
    """Return a second synthesis of dev, and the folder with its assets."""
    folder = tmp_path_factory.mktemp("again")
    return synthesise("dev", folder), folder


@pytest.mark.parametrize("name", catalog.FUNCTIONS)
def test_function_code_is_the_handler_alone(again: tuple[Synthesised, Path], name: str) -> None:
    synthesised, folder = again
    key = function(synthesised.templates, "dev", name)["Code"]["S3Key"]
    asset = folder / f"asset.{key.removesuffix('.zip')}"
    assert [each.name for each in asset.iterdir()] == ["handler.py"]


def test_function_templates_are_the_same_in_a_second_synthesis(
    dev: Templates, again: tuple[Synthesised, Path]
) -> None:
    """An unchanged function is not deployed again."""
    for stack, template in again[0].templates.items():
        assert template.to_json() == dev[stack].to_json()
