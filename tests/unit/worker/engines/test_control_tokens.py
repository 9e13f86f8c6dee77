from hypothesis import given
from hypothesis import strategies as st

from worker.engines.control_tokens import ControlTokens
from worker.engines.protocol import ChatMessage

TOKENS = ("<|a|>", "|a|>", "<|a|", "aa", "<|b|>\n", "x")
CONTROL = ControlTokens(TOKENS)


def template(messages: list[dict[str, str]]) -> str:
    return "".join(f"<|a|>{message['role']}:{message['content'].strip()}" for message in messages)


@given(contents=st.lists(st.text(alphabet="<|ab>\n xé"), max_size=3))
def test_control_tokens_of_contents_are_cut_and_those_of_the_template_are_not(
    contents: list[str],
) -> None:
    messages = [ChatMessage("user", content) for content in contents]
    pieces = CONTROL.render(messages, template)
    plain = template([{"role": "user", "content": content} for content in contents])
    assert "".join(pieces) == plain
    # Where the template's own tokens and roles are taken away, no piece has one that can be cut.
    for piece in pieces:
        for own in piece.split("<|a|>user:"):
            assert not any(token in own for token in TOKENS if len(token) > 1)


def test_control_tokens_leave_a_conversation_without_any_in_one_piece() -> None:
    assert len(CONTROL.render([ChatMessage("user", "hi < | a")], template)) == 1
    assert len(ControlTokens(()).render([ChatMessage("user", "<|a|>")], template)) == 1
