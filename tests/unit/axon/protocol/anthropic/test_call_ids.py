import pytest

from axon.ids import derived_id, new_id
from axon.protocol.anthropic.call_ids import call_id_of, tool_use_id_of


def test_call_has_one_id_in_each_api_and_is_found_by_either() -> None:
    for call_id in (derived_id("call", new_id("resp"), n) for n in (0, 3)):
        shown = tool_use_id_of(call_id)
        assert shown == "toolu_" + call_id.removeprefix("call_")
        assert call_id_of(shown) == call_id


@pytest.mark.parametrize("foreign", ["toolu_01A09q90qw90lq917835lq9", "call_abc", "x" * 64, "f:0"])
def test_id_of_another_server_stays_as_it_is(foreign: str) -> None:
    assert tool_use_id_of(foreign) == call_id_of(foreign) == foreign
