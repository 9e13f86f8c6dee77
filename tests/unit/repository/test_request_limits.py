"""The limits of requests that docs/deploy.md and the example of uploads state."""

import re
from typing import Any

from axon.protocol.sizes import FRAME_BYTES, MESSAGE_BYTES
from axon.settings import FrontSettings
from local.lambda_service.invoke_api import REQUEST_LIMIT_BYTES
from tests.support.function_url import FunctionUrl, exceeds_invocation, url_event
from tests.support.repository import ROOT


def test_homes_of_the_front_state_their_longest_request() -> None:
    lines = (ROOT / "docs/deploy.md").read_text().splitlines()
    (row,) = (line for line in lines if line.startswith("| a request has at most |"))
    function, balancer, gateway = row.strip("| ").split(" | ")[1:]
    given: dict[str, Any] = {"payload_bucket": "payloads"}
    longest = f"{FrontSettings.model_construct(**given).longest_body >> 20} MiB"
    assert function.startswith(f"{longest} (`AXON_MAX_BODY_BYTES`)")
    assert f"above {REQUEST_LIMIT_BYTES >> 20} MB" in function
    assert balancer == longest
    assert gateway == f"{FRAME_BYTES >> 10} KB a frame, {MESSAGE_BYTES >> 10} KB a message"


def test_function_url_refuses_what_no_invocation_carries() -> None:
    assert not exceeds_invocation(url_event("POST", "/", text="x" * (REQUEST_LIMIT_BYTES - 1_000)))
    longer = url_event("POST", "/", text="x" * REQUEST_LIMIT_BYTES)
    assert FunctionUrl().invoke(longer).prelude == {"statusCode": 413}


def test_example_uploads_every_body_that_a_function_url_may_refuse() -> None:
    example = (ROOT / "examples/upload_first.py").read_text()
    (longest,) = re.findall(r"^LONGEST = ([0-9_]+)", example, re.MULTILINE)
    headers = {"authorization": "x" * 8_000}
    assert not exceeds_invocation(
        url_event("POST", "/v1/responses", headers=headers, text='"' * int(longest))
    )
