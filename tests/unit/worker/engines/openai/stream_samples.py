"""A request, and events of an upstream that answers it."""

from typing import Any

from axon.serialization import dumps
from tests.unit.worker.engines.openai.transport_stub import MODEL, Reply
from worker.engines.protocol import GenerateRequest, Prompt, Sampling

REQUEST = GenerateRequest(
    "r", MODEL, Prompt((0,), '{"messages":[]}', estimated=True), Sampling(100)
)
STOP: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def delta(content: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}}]}


def stream_of(*events: object) -> Reply:
    return Reply([*(b"data: " + dumps(event) + b"\n\n" for event in events), b"data: [DONE]\n\n"])
