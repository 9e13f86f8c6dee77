"""Another user of the machine: all that a running cloud listens on, shows and writes."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from tests.e2e.cloud import Cloud

RUNTIME = "/2018-06-01/runtime/"
ATTEMPTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("GET", "/metrics", {}),
    ("GET", "/live", {}),
    # Lambda: Invoke, and an environment's Runtime API.
    ("POST", "/2015-03-31/functions/keys/invocations", {}),
    ("GET", f"{RUNTIME}invocation/next", {}),
    ("POST", f"{RUNTIME}init/error", {}),
    # @connections, signed as anybody can who does not know the token.
    (
        "POST",
        "/responses/@connections/abc=",
        {"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/us-east-1/execute-api/aws4_request"},
    ),
    # SQS, S3, and fauxqs's own lists.
    ("POST", "/", {"X-Amz-Target": "AmazonSQS.ListQueues"}),
    ("GET", "/axon?list-type=2", {}),
    ("GET", "/_fauxqs/queues", {}),
    ("POST", "/", {"X-Amz-Target": "AmazonSQS.ListQueues", "X-Amz-Security-Token": "guessed"}),
    ("POST", "/guessed/", {"X-Amz-Target": "AmazonSQS.ListQueues"}),
)


@pytest.fixture(scope="module")
def endpoints(cloud: Cloud) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((cloud.data / "run" / "endpoints.json").read_text())
    return found


@pytest.fixture(scope="module")
def secrets(endpoints: dict[str, Any]) -> list[str]:
    """Return what nobody else may know: the token and the passwords of this run."""
    passwords = [
        endpoints[name].split("@")[0].rpartition(":")[2] for name in ("valkey_url", "postgres_dsn")
    ]
    found = [endpoints["aws_session_token"], *passwords]
    assert all(len(secret) >= 32 for secret in found)
    return found


def processes(cloud: Cloud) -> list[psutil.Process]:
    own = psutil.Process(cloud.process.pid)
    return [own, *own.children(recursive=True)]


def listening(cloud: Cloud) -> Iterator[tuple[str, int]]:
    """Yield the address of each port that a process of the cloud listens on."""
    for process in processes(cloud):
        for connection in process.net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN:
                yield connection.laddr.ip, connection.laddr.port


def told(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request)
        return connection.recv(4096)


def test_local_cloud_answers_nobody_without_this_runs_secrets(
    cloud: Cloud, endpoints: dict[str, Any]
) -> None:
    ports = {port for address, port in listening(cloud)}
    assert {address for address, _ in listening(cloud)} == {"127.0.0.1"}
    valkey, postgres = (
        int(endpoints[name].split("@")[1].split("/")[0].rpartition(":")[2])
        for name in ("valkey_url", "postgres_dsn")
    )
    assert {valkey, postgres} < ports
    assert told(valkey, b"KEYS *\r\n").startswith(b"-NOAUTH")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://axon@127.0.0.1:{postgres}/axon")

    # fauxqs, Lambda and its environments, @connections, the gateway, front, relay, worker.
    others = ports - {valkey, postgres}
    assert len(others) >= 12
    serving = {urlsplit(endpoints[name]).port for name in ("base_url", "front_url")}
    assert serving <= others
    for port in others:
        # Unknown to the front, which answers what is no WebSocket on the clients' port, too.
        refused = (401, 403, 404, 405) if port in serving else (401, 403)
        for method, path, headers in ATTEMPTS:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request(method, path, b"{}" if method == "POST" else None, headers)
            status = connection.getresponse().status
            connection.close()
            assert status in refused, (port, method, path, status)
        health = told(port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head, _, body = health.partition(b"\r\n\r\n")
        assert head.split()[1] in (b"401", b"403") or len(json.loads(body)) <= 2, health


def test_local_cloud_shows_no_secret_in_command_lines_and_logs(
    cloud: Cloud, secrets: list[str]
) -> None:
    shown = {process.name(): " ".join(process.cmdline()) for process in processes(cloud)}
    shown |= {log.name: log.read_text(errors="replace") for log in (cloud.data / "log").iterdir()}
    for where, text in shown.items():
        assert not [secret for secret in secrets if secret in text], where


def test_local_cloud_writes_files_that_only_its_user_can_read(cloud: Cloud) -> None:
    for path in (cloud.data, *cloud.data.rglob("*")):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o077 == 0, path
