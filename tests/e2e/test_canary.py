"""A canary: what clients send is in no log, metric, trace, listing or key name."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.request import Request, urlopen

import boto3
import psutil
import redis
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.e2e.cloud import API_KEY, AXON, Cloud

CANARY = "canary7f3a91"
FILE = {"type": "input_file", "filename": CANARY, "file_data": CANARY}
CALL = {"type": "function_call", "call_id": CANARY, "name": CANARY, "arguments": CANARY}
OUTPUT = {"type": "function_call_output", "call_id": CANARY, "output": CANARY}
FORMAT = {"type": "json_schema", "name": CANARY, "schema": {"title": CANARY}}
ENDS = ("response.completed", "response.failed", "response.incomplete", "response.cancelled")


def create(**fields: Any) -> str:
    return json.dumps({"type": "response.create", "model": "echo", "input": CANARY} | fields)


def messages() -> Iterator[str]:
    """Yield messages that are answered, refused, and not even messages; each gets an answer."""
    yield create()
    yield create(instructions=CANARY, metadata={CANARY: CANARY}, stream_id=CANARY)
    yield create(idempotency_key=CANARY, safety_identifier=CANARY, prompt_cache_key=CANARY)
    yield create(input=[{"role": "user", "content": CANARY}, CALL, OUTPUT])
    yield create(tools=[{"type": "function", "name": CANARY, "description": CANARY}])
    yield create(text={"format": FORMAT})
    yield create(input=[{"role": "user", "content": [FILE]}])
    yield create(input=[OUTPUT])
    yield create(model=CANARY)
    yield create(previous_response_id=CANARY)
    yield create(idempotency_key=CANARY, input="another " + CANARY)
    for field in ("input", "model", "metadata", "tools", "text", "store", "top_p", "stream_id"):
        yield create(**{field: {CANARY: [CANARY]}})
        yield create(**{field: CANARY * 6000})
        yield create(**{field: [{"type": CANARY, "content": CANARY}]})
    yield create(**{CANARY: CANARY, "max_tokens": CANARY})
    for kind in ("response.cancel", "response.resume", "response.delete", CANARY):
        yield json.dumps({"type": kind, "response_id": CANARY})
        yield json.dumps({"type": kind, "response_id": {"id": CANARY}, "stream_id": CANARY})
    yield f'{{"type": "response.create", "input": "{CANARY}'
    yield f'"{CANARY}"'
    yield f'{{"input": {"[" * 300}"{CANARY}"{"]" * 300}}}'
    yield f'{{"input": 1e400, "{CANARY}": 1e400}}'


def converse(cloud: Cloud) -> None:
    """Send all messages, each after the answer to the one before."""
    keys = {"Authorization": f"Bearer {API_KEY}", "X-Canary": CANARY, "User-Agent": CANARY}
    address = f"{cloud.websocket_url}?canary={CANARY}"
    with connect(address, additional_headers=keys, proxy=None, max_size=None) as socket:
        for message in messages():
            # Longer ones in frames that the gateway takes.
            socket.send([message[at : at + 30_000] for at in range(0, len(message), 30_000)])
            while True:
                event = json.loads(socket.recv(timeout=10))
                assert event.get("code") != "internal_error", (message[:200], event)
                if event["type"] in ENDS or event["type"] == "error":
                    break
    for key in (f"sk-axon-{CANARY}", CANARY):
        wrong = {"Authorization": f"Bearer {key}"}
        with suppress(InvalidStatus), connect(address, additional_headers=wrong, proxy=None):
            raise AssertionError("a wrong key was taken")


def unreadable() -> Iterator[str]:
    """Yield bodies of queues that nobody can read, or that hold what no part takes."""
    response = {"id": "resp_" + "0" * 32, "model": CANARY, "status": "completed", "store": True}
    common = {"tenant_id": "t", "conversation_id": "conv_1", "created_ms": 1}
    item = {"type": "message", "role": CANARY, "content": [CANARY]}
    job = common | {"connection_id": "c", "response": response, "input": [item]}
    record = common | {"response_id": response["id"], "previous_response_id": None, "version": 1}
    record |= {"ended_ms": 1, "response": response, "input": [item]}
    yield CANARY
    yield f'{{"{CANARY}": "{CANARY}'
    yield json.dumps(job | {"input": CANARY, "created_ms": CANARY})
    yield json.dumps(record | {"version": CANARY})
    yield json.dumps(record | {"response": response | {"model": f"\0{CANARY}"}})
    yield json.dumps(record | {"response": response | {"status": CANARY}})
    yield json.dumps(record | {"response": response | {"usage": {"input_tokens": CANARY}}})


def send_unreadable(endpoints: dict[str, Any]) -> int:
    """Put such bodies into the queues; return how many there are in each."""
    sqs = boto3.client(
        "sqs",
        endpoint_url=endpoints["aws_endpoint"],
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        aws_session_token=endpoints["aws_session_token"],
    )
    queues = endpoints["queues"]
    for number, body in enumerate(unreadable()):
        group = f"g{number}"
        sqs.send_message(QueueUrl=queues["jobs"], MessageBody=body, MessageGroupId=group)
        sqs.send_message(
            QueueUrl=queues["history.fifo"],
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=f"canary-{number}",
        )
    return number + 1


def printed(cloud: Cloud, *command: str) -> str:
    arguments = [str(AXON), *command, "--data", str(cloud.data)]
    ran = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    return ran.stdout + ran.stderr


def set_aside(cloud: Cloud, count: int) -> str:
    """Return the list of dead letters, once all of these are in it."""
    for _ in range(60):
        listed = printed(cloud, "dlq", "list", "--limit", "100")
        # A record with another status is none that the database refuses.
        if listed.count("not a record") == count - 1 and listed.count("not a job") == count:
            return listed
        time.sleep(0.25)
    raise AssertionError(listed)


def metrics(cloud: Cloud, name: str) -> str:
    """Return the metrics of a process, whose port and token are in its environment."""
    environ = psutil.Process(cloud.pid(name)).environ()
    address = f"http://127.0.0.1:{environ['AXON_HEALTH_PORT']}/metrics"
    keys = {"Authorization": f"Bearer {environ['AXON_HEALTH_TOKEN']}"}
    with urlopen(Request(address, headers=keys), timeout=5) as page:
        return str(page.read().decode())


def excerpt(text: str) -> str:
    """Return a canary with what is around it."""
    at = text.index(CANARY)
    return text[max(at - 300, 0) : at + 100]


def test_no_log_metric_listing_or_key_has_text_of_a_client(cloud: Cloud) -> None:
    endpoints = json.loads((cloud.data / "run" / "endpoints.json").read_text())
    converse(cloud)
    shown = {"dlq list": set_aside(cloud, send_unreadable(endpoints))}
    shown |= {name: printed(cloud, name) for name in ("status", "models list")}
    shown |= {str(path): path.read_text() for path in (cloud.data / "log").iterdir()}
    shown["terminal"] = cloud.data.with_suffix(".out").read_text()
    shown |= {f"metrics of {name}": metrics(cloud, name) for name in ("worker-0", "relay-0")}
    with redis.Redis.from_url(endpoints["valkey_url"]) as valkey:
        shown["keys"] = " ".join(key.decode(errors="replace") for key in valkey.scan_iter())
    assert all(shown[name] for name in ("dlq list", "status", "metrics of worker-0", "keys"))
    found = {name: excerpt(text) for name, text in shown.items() if CANARY in text}
    assert not found
