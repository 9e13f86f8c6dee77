"""Checks that the emulator refuses what AWS refuses: else its acceptance would prove little."""

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import psycopg
from botocore.exceptions import ClientError
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

from tests.deploy.emulator.plan import PATH, POSTGRES_PORT, REGION, VALKEY_PORT
from tests.deploy.machine import Machine
from tests.deploy.steps import StepError, require
from tests.deploy.tasks import Task

UNKNOWN = "AWS::Axon::Unknown"
FAILED = {"CREATE_FAILED", "ROLLBACK_COMPLETE"}


def refuses_unknown_types(machine: Machine) -> None:
    """Create a stack of one unknown resource type; StepError when that succeeds."""
    client = machine.client("cloudformation")
    template = json.dumps({"Resources": {"Thing": {"Type": UNKNOWN}}})
    try:
        client.create_stack(StackName="unknown", TemplateBody=template)
    except ClientError as error:
        require(UNKNOWN in str(error), f"an unknown type was refused for {error}")
        return
    status = _settled(lambda: client.describe_stacks(StackName="unknown")["Stacks"][0])
    require(status in FAILED, f"a stack of an unknown type is {status}")
    client.delete_stack(StackName="unknown")


@dataclass(frozen=True, kw_only=True, slots=True)
class Intruder:
    """A process with the credentials of a task, which asks for more than its role allows."""

    machine: Machine
    task: Task

    def is_kept_from_queues(self, queue: str) -> None:
        """Ask SQS to purge the queue; StepError when that is not denied."""
        url = self.machine.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
        try:
            self._client("sqs").purge_queue(QueueUrl=url)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            require("AccessDenied" in code, f"purging {queue} was refused with {code}")
        else:
            raise StepError(f"{self.task.role} could purge {queue}")

    def is_kept_from_databases(self, user: str) -> None:
        """Log in to both databases with something that is no token; StepError when that works."""
        plan = self.machine.plan
        valkey = Redis(
            host=plan.data_host,
            port=VALKEY_PORT,
            username=user,
            password="no-token",
            ssl=True,
            ssl_ca_certs=plan.authorities,
            retry=Retry(NoBackoff(), retries=0),
        )
        _denied(valkey.ping, AuthenticationError, what="Valkey")
        dsn = f"host={plan.data_host} port={POSTGRES_PORT} dbname=axon sslmode=require"
        _denied(
            lambda: psycopg.connect(dsn, user="axon_app", password="no-token"),
            psycopg.OperationalError,
            what="PostgreSQL",
        )

    def _client(self, service: str) -> Any:
        plan = self.machine.plan
        url = f"http://127.0.0.1:{plan.port}"
        with urllib.request.urlopen(f"{url}{PATH}/credentials/{self.task.role}") as answer:
            credentials = json.load(answer)
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["Token"],
        )


def _denied(log_in: Callable[[], object], error: type[Exception], *, what: str) -> None:
    try:
        log_in()
    except error:
        return
    raise StepError(f"{what} took a login without a token")


def _settled(ask: Callable[[], dict[str, Any]]) -> str:
    for _ in range(100):
        status = str(ask()["StackStatus"])
        if not status.endswith("IN_PROGRESS"):
            return status
        time.sleep(0.1)
    raise StepError("a stack of an unknown type does not settle")
