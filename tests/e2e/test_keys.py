"""`axon keys` against the running cloud: the command, the function, and what a client sees."""

import json
import subprocess

from openai import OpenAI
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.e2e.cloud import AXON, Cloud


def axon_keys(cloud: Cloud, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(AXON), "keys", *arguments, "--data", str(cloud.data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def status_of(cloud: Cloud, secret: str) -> int:
    """Connect with a key; return the handshake's HTTP status."""
    with OpenAI(api_key=secret, base_url=cloud.base_url) as client:
        try:
            with client.responses.connect():
                return 101
        except InvalidStatus as refusal:
            return refusal.response.status_code


def test_key_works_from_its_creation_until_it_is_revoked(cloud: Cloud) -> None:
    made = axon_keys(cloud, "create", "e2e", "--tenant", "acme")
    assert made.returncode == 0, made.stderr
    secret, key_id = made.stdout.strip(), made.stderr.split()[0]
    assert made.stderr == f"{key_id} for tenant acme; keep the key, it is not shown again:\n"
    assert status_of(cloud, secret) == 101

    (line,) = (line for line in axon_keys(cloud, "list").stdout.splitlines() if key_id in line)
    assert line.split()[1:4] == ["acme", "e2e", f"...{secret[-4:]}"]
    assert line.endswith("valid")

    assert axon_keys(cloud, "revoke", key_id).stdout == f"{key_id} is revoked\n"
    assert status_of(cloud, secret) == 401
    assert "revoked" in axon_keys(cloud, "list").stdout


def test_key_is_refused_on_its_open_connections_once_it_is_revoked(cloud: Cloud) -> None:
    made = axon_keys(cloud, "create", "e2e")
    secret, key_id = made.stdout.strip(), made.stderr.split()[0]
    headers = {"Authorization": f"Bearer {secret}"}
    with connect(cloud.websocket_url, additional_headers=headers) as socket:
        assert axon_keys(cloud, "revoke", key_id).returncode == 0
        # The relay's notice, and the answer to the request, in any order.
        socket.send(json.dumps({"type": "response.create", "model": "echo", "input": "hello"}))
        for _ in range(2):
            event = json.loads(socket.recv(timeout=5))
            assert (event["type"], event["code"]) == ("error", "invalid_api_key")


def test_keys_command_reports_a_mistake_in_one_line(cloud: Cloud) -> None:
    unknown = axon_keys(cloud, "revoke", "key_x")
    assert (unknown.returncode, unknown.stderr) == (1, "axon: there is no key key_x\n")
    wrong = axon_keys(cloud, "create", "x", "--tenant", "a/b")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("axon: tenant_id: String should match pattern")
    assert wrong.stderr.count("\n") == 1
