import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from mypy_boto3_lambda.client import LambdaClient

from local.lambda_service.config import LambdaServiceConfig
from tests.integration.local.service_harness import ServiceHarness, running

HANDLER = """
    import os, sys, time

    print("init of", os.environ["AWS_LAMBDA_FUNCTION_NAME"])
    invocations = 0

    def handler(event, context):
        global invocations
        invocations += 1
        started = time.monotonic()
        if event.get("note"):
            with open(event["note"], "a") as file:
                file.write(f"{os.getpid()}\\n")
        if event.get("print"):
            print(event["print"])
        if event.get("raise"):
            raise ValueError(event["raise"])
        if event.get("sleep"):
            time.sleep(event["sleep"])
        if event.get("exit") is not None:
            os._exit(event["exit"])
        return {
            "pid": os.getpid(),
            "invocations": invocations,
            "span": [started, time.monotonic()],
            "cwd": os.getcwd(),
            "path": sys.path,
            "environment": dict(os.environ) if event.get("environment") else None,
            "remaining_ms": context.get_remaining_time_in_millis(),
            "request_id": context.aws_request_id,
            "arn": context.invoked_function_arn,
            "memory": context.memory_limit_in_mb,
            "padding": "x" * event.get("bytes", 0),
            "event": event if event.get("echo") else None,
        }
"""

VERSION = """
    import time

    def handler(event, context):
        time.sleep(0.2)
        return {{"version": "{}"}}
"""


@pytest.fixture(scope="module")
def write_function(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write a folder with one handler.py."""

    def write(source: str) -> Path:
        folder = tmp_path_factory.mktemp("function")
        (folder / "handler.py").write_text(textwrap.dedent(source))
        return folder

    return write


@pytest.fixture(scope="module")
def functions(write_function: Callable[[str], Path]) -> dict[str, Any]:
    """Functions of one handler; a test that needs fresh environments has its own."""
    folder = str(write_function(HANDLER))
    common = {"folder": folder, "timeout_s": 20, "max_environments": 3}
    earlier = str(write_function(VERSION.format("earlier")))
    return {
        "plain": common | {"environment": {"COLOUR": "blue", "AWS_REGION": "nowhere"}},
        "reuse": common,
        "parallel": common,
        "queue": common | {"max_environments": 1},
        "slow": common | {"timeout_s": 0.3},
        "crash": common,
        "idle-crash": common,
        "warm": common | {"min_environments": 2, "memory_mb": 512},
        "deployed": {
            "folder": str(write_function(VERSION.format("today's"))),
            "min_environments": 2,
            "earlier": {"python": sys.executable, "folder": earlier},
        },
        "broken": {"folder": str(write_function("import no_such_module"))},
        "missing": {"folder": folder, "handler": "handler.nothing"},
        "exits": {"folder": str(write_function("import sys; sys.exit(7)"))},
        "hangs": {"folder": str(write_function("import time; time.sleep(60)"))},
    }


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layer")


@pytest.fixture(scope="module")
def service(
    functions: dict[str, Any], layer: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceHarness]:
    config = {
        "port": 0,
        "functions": functions,
        "layers": [str(layer)],
        "init_timeout_s": 10,
        "event_retry_delays_s": [0.05, 0.05],
    }
    with running("local.lambda_service", config, tmp_path_factory.mktemp("service")) as service:
        yield service


def lambda_client(service: ServiceHarness) -> AbstractContextManager[LambdaClient]:
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=20, read_timeout=30)
    return closing(
        boto3.client(
            "lambda", endpoint_url=service.endpoint, region_name="us-east-1", config=config
        )
    )


@pytest.fixture(scope="module")
def client(service: ServiceHarness) -> Iterator[LambdaClient]:
    with lambda_client(service) as client:
        yield client


Invoke = Callable[..., dict[str, Any]]


def call(client: LambdaClient, function: str, event: dict[str, Any]) -> dict[str, Any]:
    answer = client.invoke(FunctionName=function, Payload=json.dumps(event))
    result = json.loads(answer["Payload"].read())
    return {"error": answer["FunctionError"], **result} if "FunctionError" in answer else result


@pytest.fixture(scope="module")
def invoke(client: LambdaClient) -> Invoke:
    """Invoke a function with keyword arguments as its event."""
    return lambda function, **event: call(client, function, event)


def checked(config: dict[str, Any]) -> LambdaServiceConfig:
    return LambdaServiceConfig.model_validate_json(json.dumps(config))
