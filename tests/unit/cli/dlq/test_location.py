"""`axon dlq` when its queues cannot be reached, before a stand-in for SQS."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.unit.cli.command_harness import failure, mark_as_running


class FakeSqs(HTTPServer):
    """Refuses every call with `error`; records the queues and the last signature."""

    error, message = "com.amazonaws.sqs#QueueDoesNotExist", "because"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.signed_with = ""


class Handler(BaseHTTPRequestHandler):
    server: FakeSqs

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body.get("QueueName", body.get("QueueUrl")))
        self.server.signed_with = self.headers["Authorization"]
        content = json.dumps({"__type": self.server.error, "message": self.server.message}).encode()
        self.send_response(400)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSqs]:
    with FakeSqs() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def failed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    return failure(capsys, "dlq", *arguments)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("QueueDoesNotExist", "no Axon environment 'prod' is deployed in this account and region;"),
        ("AccessDeniedException", "access denied; docs/deploy.md, Dead letters, has the permiss"),
        ("KmsAccessDenied", "access denied; docs/deploy.md, Dead letters, has the permissions: be"),
        ("ExpiredToken", "AWS refuses the credentials: because"),
        ("InvalidClientTokenId", "AWS refuses the credentials: because"),
        ("InvalidAddress", "AWS: InvalidAddress: because"),
    ],
)
def test_dlq_explains_a_refusal_of_aws(
    sqs: FakeSqs, capsys: pytest.CaptureFixture[str], error: str, text: str
) -> None:
    sqs.error = f"com.amazonaws.sqs#{error}"
    code, line = failed(capsys, "list", "--env", "prod", "--region", "eu-central-1")
    assert code == 1
    assert text in line
    assert sqs.asked == ["axon-prod-jobs-parked"]
    assert "/eu-central-1/sqs/aws4_request" in sqs.signed_with


@pytest.mark.parametrize(
    "arguments", [("show", "6e1f1a52"), ("redrive", "--all"), ("purge", "--all")]
)
def test_dlq_actions_name_the_missing_environment(
    sqs: FakeSqs, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, line = failed(capsys, *arguments, "--env", "prod")
    assert code == 1
    assert line.startswith("no Axon environment 'prod' is deployed")


def test_dlq_asks_for_the_chosen_queue_only(
    sqs: FakeSqs, capsys: pytest.CaptureFixture[str]
) -> None:
    failed(capsys, "list", "--env", "prod", "--queue", "history")
    assert sqs.asked == ["axon-prod-history-dlq.fifo"]


def test_dlq_takes_the_region_from_the_environment(
    sqs: FakeSqs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    failed(capsys, "list", "--env", "prod")
    assert "/eu-west-3/sqs/aws4_request" in sqs.signed_with


def test_dlq_asks_to_restart_an_older_local_cloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark_as_running(tmp_path)
    code, line = failed(capsys, "list", "--data", str(tmp_path))
    assert (code, line) == (
        1,
        "the Axon that runs there is older than this command; restart it",
    )


def test_dlq_reports_a_local_cloud_that_has_just_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "http://127.0.0.1:9/000000000000/"
    mark_as_running(
        tmp_path, queues={name: url + name for name in ("jobs-parked", "history-dlq.fifo")}
    )
    code, line = failed(capsys, "list", "--data", str(tmp_path))
    assert code == 1
    assert line.startswith("Could not connect to the endpoint URL")
