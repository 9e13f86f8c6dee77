import pytest

from axon.protocol.output_items.kinds import KINDS, ItemPlace, new_item


@pytest.mark.parametrize("kind", KINDS)
def test_item_kinds_make_items_of_their_type(kind: str) -> None:
    place = ItemPlace(response_id="resp_1", index=0)
    item = KINDS[kind](place, {"type": kind, "name": "f", "call_id": "call_1"})
    assert item.wire()["type"] == kind
    again = new_item(place, item.wire())
    assert again.wire() == item.wire()
