import pytest

from axon.protocol.objects import Usage, message_item, response_object, text_part
from tests.support.sdk_events import RESPONSE_FIELDS
from tests.unit.axon.samples import a_request


def test_response_object_has_the_31_fields_of_the_schema() -> None:
    response = response_object(a_request(), response_id="resp_1", created_at=7)
    assert set(response) == RESPONSE_FIELDS
    assert len(RESPONSE_FIELDS) == 31


def test_response_object_has_the_apis_defaults() -> None:
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
def test_response_object_shows_tools_strict_unless_told_otherwise(
    given: bool | None, shown: bool
) -> None:
    request = a_request(tools=[{"type": "function", "name": "f", "strict": given}])
    (tool,) = response_object(request, response_id="resp_1", created_at=7)["tools"]
    assert tool["strict"] is shown
    assert tool["parameters"] == {}


def test_usage_sums_input_and_output_tokens() -> None:
    wire = Usage(input_tokens=3, output_tokens=4, cached_tokens=2).wire()
    assert wire["total_tokens"] == 7
    assert wire["input_tokens_details"] == {"cached_tokens": 2, "cache_write_tokens": 0}


def test_message_item_has_content_once_it_has_begun() -> None:
    assert message_item("msg_1", text=None, status="in_progress")["content"] == []
    item = message_item("msg_1", text="hi", status="completed")
    assert item["content"] == [text_part("hi")]
