from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.control_tokens import ControlTokens, Mark, marked

TOKENS = ("<|a|>", "|a|>", "<|a|", "aa", "<|b|>\n", "x", "  ")
CONTROL = ControlTokens(TOKENS)


def template(contents: list[str], mark: Mark = str) -> str:
    return "".join(f"<|a|>user:{mark(content).strip()}" for content in contents)


@given(contents=st.lists(st.text(alphabet="<|ab>\n xé"), max_size=3))
def test_control_tokens_of_contents_are_cut_and_those_of_the_template_are_not(
    contents: list[str],
) -> None:
    pieces = CONTROL.render(partial(template, contents))
    assert "".join(pieces) == template(contents)
    # Where the template's own tokens and roles are taken away, no piece has one that can be cut.
    for piece in pieces:
        for own in piece.split("<|a|>user:"):
            assert not any(token in own for token in TOKENS if len(token) > 1 and token.strip())


def test_control_tokens_leave_a_prompt_without_any_in_one_piece() -> None:
    assert len(CONTROL.render(partial(template, ["hi < | a  b"]))) == 1
    assert len(ControlTokens(()).render(partial(template, ["<|a|>"]))) == 1


def test_control_tokens_are_cut_in_texts_that_a_template_writes_in_capitals() -> None:
    upper = ControlTokens(["<|a|>"]).render(lambda mark: mark("<|a|>").upper())
    assert upper == ["<", "|A|>"]


@pytest.mark.parametrize(
    "value",
    [
        {"<|a|>": 1, "b": [{"c": "<|a|>"}, ("<|a|>", None, 2.5, True)]},
        "<|a|>",
    ],
    ids=["nested", "text"],
)
def test_marked_marks_every_text_of_a_json_value(value: Any) -> None:
    assert "<|a|>" not in repr(marked(value, lambda text: text.replace("a", "_")))
