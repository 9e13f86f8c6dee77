import pytest

from axon.ids import new_id
from axon.protocol.chat.objects import CHAT_PREFIX, TEXT_PREFIX, completion_id, response_id_of


@pytest.mark.parametrize("prefix", [CHAT_PREFIX, TEXT_PREFIX])
def test_completion_id_leads_back_to_its_response(prefix: str) -> None:
    response_id = new_id("resp")
    assert response_id_of(completion_id(response_id, prefix), prefix) == response_id


def test_other_ids_lead_to_no_response() -> None:
    for wrong in ("", "resp_" + "0" * 32, "chatcmpl-1", "chatcmpl-", "chatcmpl-" + "G" * 32):
        assert response_id_of(wrong) is None
