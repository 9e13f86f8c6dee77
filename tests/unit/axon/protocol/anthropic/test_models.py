from typing import Any

import pytest

from axon.exceptions import RequestError
from axon.protocol.anthropic.models import model_page

MODELS = ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("asked", "found", "more"),
    [
        ({}, "abcd", False),
        ({"limit": 2}, "ab", True),
        ({"limit": 2, "after_id": "b"}, "cd", False),
        ({"after_id": "d"}, "", False),
        ({"limit": 2, "before_id": "d"}, "bc", True),
        ({"before_id": "a"}, "", False),
    ],
)
def test_model_page_goes_on_where_the_last_one_ended(
    asked: dict[str, Any], found: str, more: bool
) -> None:
    page = model_page(MODELS, **asked)
    assert "".join(model["id"] for model in page["data"]) == found
    assert page["has_more"] is more
    assert (page["first_id"], page["last_id"]) == ((found[0], found[-1]) if found else (None, None))


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"after_id": "x"}, "after_id"),
        ({"before_id": "x"}, "before_id"),
        ({"after_id": "a", "before_id": "b"}, "before_id"),
    ],
)
def test_model_page_that_cannot_be_is_refused_by_name(asked: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        model_page(MODELS, **asked)
    assert caught.value.param == param
