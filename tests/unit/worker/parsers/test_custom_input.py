import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.parsers.custom_input import CustomInput


def decoded(*parts: str) -> str:
    custom = CustomInput()
    return "".join([*map(custom.feed, parts), custom.end()])


TEXT = st.text(st.sampled_from('ab"\\/\n\t{}é🌍\x00:, u0'), max_size=30)


@given(text=TEXT, ascii_only=st.booleans(), data=st.data())
def test_input_is_the_text_of_the_argument_however_it_is_cut(
    text: str, ascii_only: bool, data: st.DataObject
) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_only)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(arguments)), max_size=5)))
    places = [0, *cuts, len(arguments)]
    assert decoded(*(arguments[a:b] for a, b in pairwise(places))) == text


def test_input_is_given_as_it_grows() -> None:
    custom = CustomInput()
    parts = ['{"in', 'put" : "*** Be', "gin\\", "n\\u00", 'e9"', "}"]
    assert [custom.feed(part) for part in parts] == ["", "*** Be", "gin", "\n", "é", ""]
    assert custom.end() == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("plain text", "plain text"),
        ('{"other": 1}', '{"other": 1}'),
        ('{"why": "x", "input": "a\\nb"}', "a\nb"),
        ('{"input": {"a": 1}}', '{"a": 1}'),
        ('{"input": "line\nbreak", "more": 1}', "line\nbreak"),
        ('{"input": "C:\\dir and more"}', "C:\\dir and more"),
        ('{"input": "cut o', "cut o"),
        ('{"input": "a\\d"}', "a\\d"),
        ('{"input": "a\\u12', "a\\u12"),
        ("", ""),
    ],
)
def test_input_of_another_form_is_not_lost(arguments: str, text: str) -> None:
    assert decoded(arguments) == decoded(*arguments) == text
