from typing import Any

import pytest

from axon.exceptions import RequestError
from axon.jobs import Job
from axon.protocol.bodies import parse
from axon.protocol.compaction import ASK, CompactRequest, compacted
from axon.protocol.items import SUMMARY, content_of_summary, summary_of
from tests.unit.axon.samples import a_job, a_request

ANSWER = {"id": "resp_1", "created_at": 1, "usage": None}
EARLIER = {"type": "compaction", "encrypted_content": content_of_summary("before: ✓")}


def message(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text}


def test_compaction_asks_for_the_summary_of_all_that_was_given() -> None:
    body = parse(CompactRequest, {"model": "m", "input": [EARLIER, message("user", "a")]})
    asked = body.to_ask()
    job = a_job(input=[item.model_dump() for item in asked.input if not isinstance(item, str)])
    assert [item["content"] for item in job.input] == [SUMMARY + "before: ✓", "a", ASK]
    assert asked.store is False


def test_compaction_leaves_the_users_messages_and_one_summary() -> None:
    body = parse(CompactRequest, {"model": "m", "input": [EARLIER, message("user", "c")]})
    earlier = [message("user", "a"), message("assistant", "b"), message("user", SUMMARY + "old")]
    made = compacted([*earlier, *body.items], summary="all of it", answer=ANSWER)
    *users, item = made["output"]
    assert [user["content"][0]["text"] for user in users] == ["a", "c"]
    assert len({each["id"] for each in made["output"]}) == 3
    assert summary_of(item["encrypted_content"]) == "all of it"
    again = a_request(input=made["output"])
    assert Job.decode(a_job(input=made["output"]).encode()).input[-1] == message(
        "user", SUMMARY + "all of it"
    )
    assert len(again.input) == 3


@pytest.mark.parametrize("content", ["gAAAA", "axon1.%", "axon1._w==", "axon1.x"])
def test_compaction_of_another_server_is_refused(content: str) -> None:
    with pytest.raises(RequestError) as refused:
        a_request(input=[{"type": "compaction", "encrypted_content": content}])
    assert refused.value.param == "input.0.encrypted_content"
    assert "/v1/responses/compact" in refused.value.message
