"""Messages to `functions/respond`, and their results."""

import json
from types import ModuleType
from typing import Any

from openai.types.responses import ResponseErrorEvent

from axon.event_log.log import ResponseMeta
from axon.lambdas import run
from tests.integration.functions.conftest import FunctionsHarness, websocket_event

CONNECTION = "L0SM9cOFvHcCIhw="


def body(**fields: Any) -> str:
    return json.dumps({"type": "response.create", "model": "echo", "input": "hello"} | fields)


def accepted(respond: ModuleType, harness: FunctionsHarness, **fields: Any) -> str:
    """Send a request that is accepted; return the response's id."""
    before = run(harness.log.running_for(CONNECTION))
    assert respond.handler(websocket_event(body(**fields)), None) == {"statusCode": 200}
    (response_id,) = run(harness.log.running_for(CONNECTION)) - before
    return response_id


def refused(respond: ModuleType, message: str | None, **context: str) -> dict[str, Any]:
    """Send a message that is refused; return the error frame."""
    answer = respond.handler(websocket_event(message, **context), None)
    assert answer["statusCode"] == 200
    ResponseErrorEvent.model_validate_json(answer["body"], strict=True)
    frame: dict[str, Any] = json.loads(answer["body"])
    for name in ("code", "message", "param"):
        assert frame[name] == frame["error"][name]
    assert (frame["type"], frame["sequence_number"]) == ("error", 0)
    return frame


def described(harness: FunctionsHarness, response_id: str) -> ResponseMeta:
    meta = run(harness.log.describe(response_id))
    assert meta is not None
    return meta
