from worker.engines.openai.messages import chat_messages
from worker.engines.protocol import ChatMessage, ToolCall

USER = ChatMessage("user", "hi")


def calls(*numbers: int, text: str = "") -> ChatMessage:
    made = tuple(ToolCall(f"c{number}", "f", "{}") for number in numbers)
    return ChatMessage("assistant", text, calls=made)


def output(number: int) -> ChatMessage:
    return ChatMessage("tool", str(number), call_id=f"c{number}")


def shown(*messages: ChatMessage) -> list[tuple[str, object]]:
    """Return each message's role, and the ids of its calls or of the call that it answers."""
    return [
        (
            each["role"],
            [called["id"] for called in each.get("tool_calls", [])]
            or each.get("tool_call_id")
            or each["content"],
        )
        for each in chat_messages(messages)
    ]


def test_chat_messages_have_one_system_message_at_the_beginning() -> None:
    system = [ChatMessage("system", text) for text in ("Be brief.", "Be kind.", "Speak French.")]
    answer = ChatMessage("assistant", "Hello.")
    merged = [("system", "Be brief.\n\nBe kind.\n\nSpeak French.")]
    assert shown(system[0], system[1], USER, answer, system[2], USER) == [
        *merged, ("user", "hi"), ("assistant", "Hello."), ("user", "hi"),
    ]  # fmt: skip
    assert shown(USER, *system) == [*merged, ("user", "hi")]
    assert shown(USER) == [("user", "hi")]


def test_chat_messages_give_outputs_the_ids_of_their_calls() -> None:
    assert chat_messages([USER, calls(1), output(1)])[1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
    ]


def test_chat_messages_have_calls_that_were_made_together_in_one() -> None:
    says = calls(1, 2, text="Let me see.")
    assert shown(USER, says, output(1), output(2), calls(3), output(3)) == [
        ("user", "hi"),
        ("assistant", ["c1", "c2"]), ("tool", "c1"), ("tool", "c2"),
        ("assistant", ["c3"]), ("tool", "c3"),
    ]  # fmt: skip
    assert chat_messages([says])[0]["content"] == "Let me see."


def test_chat_messages_have_outputs_right_behind_their_calls() -> None:
    assert shown(calls(1, 2), USER, output(2), output(1), USER) == [
        ("assistant", ["c1", "c2"]), ("tool", "c2"), ("tool", "c1"), ("user", "hi"), ("user", "hi"),
    ]  # fmt: skip


def test_chat_messages_pass_on_an_output_without_its_call() -> None:
    assert shown(USER, output(1)) == [("user", "hi"), ("tool", "c1")]
