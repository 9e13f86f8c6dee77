"""Each kind of item by itself."""

import pytest

from axon.protocol.output_items.function_call import FunctionCallItem
from axon.protocol.output_items.item import OutputItem
from axon.protocol.output_items.message import MessageItem
from axon.protocol.output_items.reasoning import ReasoningItem
from axon.protocol.output_items.text_part import Draft


def kinds(drafts: list[Draft]) -> list[str]:
    return [event_type.removeprefix("response.") for event_type, _ in drafts]


def fields(drafts: list[Draft], name: str) -> list[object]:
    return [draft[name] for _, draft in drafts if name in draft]


def make_message() -> MessageItem:
    return MessageItem(item_id="msg_1", output_index=2)


def make_reasoning() -> ReasoningItem:
    return ReasoningItem(item_id="rs_1", output_index=2)


def make_call() -> FunctionCallItem:
    return FunctionCallItem(item_id="fc_1", output_index=2, name="f", call_id="call_1")


class TestMessageItem:
    def test_gives_the_events_of_a_text(self) -> None:
        item = make_message()
        drafts = item.add_text("a") + item.add_text("b") + item.close()
        assert kinds(drafts) == [
            "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
            "output_text.done", "content_part.done", "output_item.done",
        ]  # fmt: skip
        assert fields(drafts, "output_index") == [2] * 7
        assert fields(drafts, "content_index") == [0] * 5
        assert item.text == "ab"

    def test_is_closed_with_an_empty_text(self) -> None:
        item = make_message()
        assert "output_text.delta" not in kinds(item.close())
        assert item.wire()["content"][0]["text"] == ""
        assert item.empty

    def test_has_no_content_before_it_is_opened(self) -> None:
        assert make_message().wire()["content"] == []


class TestReasoningItem:
    def test_gives_the_events_of_a_summary_and_a_text(self) -> None:
        item = make_reasoning()
        drafts = [
            *item.add_summary("first"),
            *item.end_summary_part(),
            *item.add_text("why"),
            *item.add_summary("second"),
            *item.close(),
        ]
        assert kinds(drafts) == [
            "output_item.added",
            "reasoning_summary_part.added", "reasoning_summary_text.delta",
            "reasoning_summary_text.done", "reasoning_summary_part.done",
            "content_part.added", "reasoning_text.delta",
            "reasoning_summary_part.added", "reasoning_summary_text.delta",
            "reasoning_text.done", "content_part.done",
            "reasoning_summary_text.done", "reasoning_summary_part.done",
            "output_item.done",
        ]  # fmt: skip
        assert fields(drafts, "summary_index") == [0] * 4 + [1] * 4
        assert fields(drafts, "content_index") == [0] * 4
        assert item.wire() == {
            "id": "rs_1",
            "type": "reasoning",
            "status": "completed",
            "summary": [
                {"type": "summary_text", "text": "first"},
                {"type": "summary_text", "text": "second"},
            ],
            "content": [{"type": "reasoning_text", "text": "why"}],
        }

    def test_ends_no_summary_part_that_is_not_open(self) -> None:
        item = make_reasoning()
        assert item.end_summary_part() == []
        item.add_summary("a")
        assert item.end_summary_part()
        assert item.end_summary_part() == []

    def test_may_be_empty(self) -> None:
        item = make_reasoning()
        assert kinds(item.close()) == ["output_item.added", "output_item.done"]
        assert item.empty


class TestFunctionCallItem:
    def test_gives_the_events_of_its_arguments(self) -> None:
        item = make_call()
        drafts = item.add_arguments('{"a"') + item.add_arguments(":1}") + item.close()
        assert kinds(drafts) == [
            "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
            "function_call_arguments.done", "output_item.done",
        ]  # fmt: skip
        assert drafts[-2][1]["arguments"] == '{"a":1}'
        assert item.wire() == {
            "id": "fc_1",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_1",
            "name": "f",
            "arguments": '{"a":1}',
        }

    def test_refuses_arguments_after_their_end(self) -> None:
        item = make_call()
        item.close()
        with pytest.raises(ValueError, match="have ended"):
            item.add_arguments("{}")


@pytest.mark.parametrize("item", [make_message(), make_reasoning(), make_call()])
class TestOutputItem:
    def test_closes_once(self, item: OutputItem) -> None:
        item.open()
        assert not item.closed
        assert item.open() == []
        assert item.close(complete=False)
        assert item.status == "incomplete"
        assert item.close() == []
        assert item.status == "incomplete"
        with pytest.raises(ValueError, match="has ended"):
            item.open()


@pytest.mark.parametrize("item", [make_message(), make_reasoning(), make_call()])
def test_output_item_ends_without_events_when_it_is_cut(item: OutputItem) -> None:
    item.open()
    item.cut()
    assert item.closed
    assert item.wire()["status"] == "incomplete"
    assert item.close() == []


def test_message_item_refuses_text_after_its_end() -> None:
    item = make_message()
    item.close()
    with pytest.raises(ValueError, match="has ended"):
        item.add_text("more")
