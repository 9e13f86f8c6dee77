import pytest

from axon.protocol.objects import Usage, message_item, response_object, text_part
from tests.unit.axon.samples import a_request
from tests.unit.axon.sdk_events import RESPONSE_FIELDS


def test_a_response_has_the_31_fields_of_the_schema() -> None:
    response = response_object(a_request(), response_id="resp_1", created_at=7)
    assert set(response) == RESPONSE_FIELDS
    assert len(RESPONSE_FIELDS) == 31


def test_what_the_client_left_open_is_the_apis_default() -> None:
    response = response_object(a_request(), response_id="resp_1", created_at=7)
    assert response["id"] == "resp_1"
    assert response["created_at"] == 7
    assert response["status"] == "queued"
    assert (response["temperature"], response["top_p"]) == (1.0, 1.0)
    assert response["parallel_tool_calls"] is True
    assert response["store"] is True
    assert response["tool_choice"] == "auto"
    assert response["truncation"] == "disabled"
    assert response["metadata"] == {}


@pytest.mark.parametrize(("given", "shown"), [(None, True), (True, True), (False, False)])
def test_a_tool_is_strict_unless_the_client_says_no(given: bool | None, shown: bool) -> None:
    request = a_request(tools=[{"type": "function", "name": "f", "strict": given}])
    (tool,) = response_object(request, response_id="resp_1", created_at=7)["tools"]
    assert tool["strict"] is shown
    assert tool["parameters"] == {}


def test_usage_adds_up() -> None:
    wire = Usage(input_tokens=3, output_tokens=4, cached_tokens=2).wire()
    assert wire["total_tokens"] == 7
    assert wire["input_tokens_details"] == {"cached_tokens": 2, "cache_write_tokens": 0}


def test_a_message_before_and_after_its_content_began() -> None:
    assert message_item("msg_1", text=None, status="in_progress")["content"] == []
    item = message_item("msg_1", text="hi", status="completed")
    assert item["content"] == [text_part("hi")]
