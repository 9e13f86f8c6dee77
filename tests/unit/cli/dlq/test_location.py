"""What is in the way of `axon dlq`, in one line."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cli.main import main


class Sqs(HTTPServer):
    """Refuses every call as told; keeps which queues were looked for, and by whom."""

    error, message = "com.amazonaws.sqs#QueueDoesNotExist", "because"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.signed_with = ""


class Handler(BaseHTTPRequestHandler):
    server: Sqs

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
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sqs]:
    with Sqs() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run `axon dlq`; return the exit code and its one line about what went wrong."""
    code = main(["dlq", *arguments])
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("axon: ")
    return code, line.removeprefix("axon: ").strip()


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
def test_what_aws_refuses(
    sqs: Sqs, capsys: pytest.CaptureFixture[str], error: str, text: str
) -> None:
    sqs.error = f"com.amazonaws.sqs#{error}"
    code, line = said(capsys, "list", "--env", "prod", "--region", "eu-central-1")
    assert code == 1
    assert text in line
    assert sqs.asked == ["axon-prod-jobs-parked"]
    assert "/eu-central-1/sqs/aws4_request" in sqs.signed_with


@pytest.mark.parametrize(
    "arguments", [("show", "6e1f1a52"), ("redrive", "--all"), ("purge", "--all")]
)
def test_every_action_says_so(
    sqs: Sqs, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, line = said(capsys, *arguments, "--env", "prod")
    assert code == 1
    assert line.startswith("no Axon environment 'prod' is deployed")


def test_one_queue_only(sqs: Sqs, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "list", "--env", "prod", "--queue", "history")
    assert sqs.asked == ["axon-prod-history-dlq.fifo"]


def test_the_region_may_come_from_the_environment(
    sqs: Sqs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    said(capsys, "list", "--env", "prod")
    assert "/eu-west-3/sqs/aws4_request" in sqs.signed_with


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


def test_a_region_without_an_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "list", "--region", "eu-west-1") == (2, "--region needs --env")


def test_an_unknown_profile(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    code, line = said(capsys, "list", "--env", "prod")
    assert (code, line) == (1, "The config profile (nobody) could not be found")


def running(data: Path, **changes: object) -> None:
    """Have the data folder look as if an Axon ran on it."""
    (data / "run").mkdir()
    names = ("base_url", "api_key", "engine", "model", "valkey_url", "lambda_endpoint")
    content = dict.fromkeys(names, "") | {"aws_endpoint": "http://127.0.0.1:9", "queues": {}}
    (data / "run" / "endpoints.json").write_text(json.dumps(content | changes))
    (data / "run" / "supervisor.pid").write_text(str(os.getpid()))


def test_a_local_cloud_that_is_too_old(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running(tmp_path)
    code, line = said(capsys, "list", "--data", str(tmp_path))
    assert (code, line) == (
        1,
        "the Axon that runs there is older than this command; restart it",
    )


def test_a_local_cloud_that_has_just_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "http://127.0.0.1:9/000000000000/"
    running(tmp_path, queues={name: url + name for name in ("jobs-parked", "history-dlq.fifo")})
    code, line = said(capsys, "list", "--data", str(tmp_path))
    assert code == 1
    assert line.startswith("Could not connect to the endpoint URL")
