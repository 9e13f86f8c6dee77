from typing import Any

import pytest

from axon.exceptions import RequestError
from axon.ids import new_id, same_id
from axon.protocol.requests import parse_body
from axon.responses.references import MAX_REFERENCES, READS, ItemReferences
from axon.responses.request_size import JOB_BYTES
from tests.unit.axon.responses.service_harness import ResponseHarness
from tests.unit.axon.samples import MODEL, TENANT

QUESTION = {"role": "user", "content": "again"}


@pytest.fixture
async def harness() -> ResponseHarness:
    harness = ResponseHarness()
    await harness.begin()
    return harness


@pytest.fixture
def references(harness: ResponseHarness) -> ItemReferences:
    return ItemReferences(retrieval=harness.retrieval, max_bytes=JOB_BYTES)


def reference(item_id: str) -> dict[str, Any]:
    return {"type": "item_reference", "id": item_id}


async def answered(harness: ResponseHarness, text: str, **fields: Any) -> str:
    """Return the id of the message of a response that has ended."""
    response_id = await harness.submit(connection_id="", **fields)
    harness.jobs_sent()
    await harness.answer(response_id, text)
    return same_id("msg", response_id)


async def refusal(
    references: ItemReferences, *items: object, tenant_id: str = TENANT
) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await references.resolved({"model": MODEL, "input": list(items)}, tenant_id=tenant_id)
    return caught.value


async def test_references_become_the_items_in_their_places(
    harness: ResponseHarness, references: ItemReferences
) -> None:
    first, second = [await answered(harness, text) for text in ("one", "two")]
    body = {"model": MODEL, "input": [reference(second), QUESTION, reference(first), QUESTION]}
    resolved = await references.resolved(body, tenant_id=TENANT)
    items = resolved["input"]
    assert [item.get("id") for item in items] == [second, None, first, None]
    assert [items[0]["content"][0]["text"], items[2]["content"][0]["text"]] == ["two", "one"]
    assert parse_body(resolved).input


@pytest.mark.parametrize("text", ["hello", [QUESTION], 7, None, [reference("")][:0]])
async def test_references_leave_other_input_as_it_is(
    references: ItemReferences, text: object
) -> None:
    body = {"model": MODEL, "input": text}
    assert await references.resolved(body, tenant_id=TENANT) is body


@pytest.mark.parametrize(
    ("store", "tenant_id"), [(True, "tenant-2"), (False, TENANT)], ids=["another's", "unstored"]
)
async def test_references_find_nothing_that_the_tenant_has_not_stored(
    harness: ResponseHarness, references: ItemReferences, store: bool, tenant_id: str
) -> None:
    item_id = await answered(harness, "secret", store=store)
    error = await refusal(references, QUESTION, reference(item_id), tenant_id=tenant_id)
    assert (error.code, error.param, error.status) == ("item_not_found", "input.1", 404)
    assert "secret" not in error.message


@pytest.mark.parametrize(
    "item_id",
    [new_id("msg"), "msg_1", "", "rs_*", "m" * 1_000_000],
    ids=["unknown", "malformed", "empty", "pattern", "long"],
)
async def test_references_name_an_item_that_is_unknown(
    references: ItemReferences, item_id: str
) -> None:
    error = await refusal(references, reference(item_id))
    assert (error.code, error.param) == ("item_not_found", "input.0")
    assert len(error.message) < 300


@pytest.mark.parametrize("given", [{}, {"id": None}, {"id": 7}])
async def test_references_need_an_id(references: ItemReferences, given: dict[str, Any]) -> None:
    error = await refusal(references, {"type": "item_reference", **given})
    assert (error.code, error.param) == ("invalid_value", "input.0.id")


async def test_references_are_bounded_in_number_and_size(
    harness: ResponseHarness, references: ItemReferences
) -> None:
    item_id = await answered(harness, "long " * 1_000)
    many = await refusal(references, *[reference(item_id)] * (MAX_REFERENCES + 1))
    assert many.code == "array_above_max_length"
    large = await refusal(references, *[reference(item_id)] * (JOB_BYTES // 5_000))
    assert (large.code, large.status) == ("request_too_large", 413)


async def test_references_to_large_items_are_refused_before_all_are_read(
    harness: ResponseHarness, references: ItemReferences, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, retrieve = list[str](), harness.retrieval.response

    async def response(response_id: str, *, tenant_id: str) -> dict[str, Any]:
        read.append(response_id)
        found = await retrieve(response_id, tenant_id=tenant_id)
        return found | {"output": [found["output"][0] | {"id": same_id("msg", response_id)}]}

    items = [await answered(harness, "x" * 60_000) for _ in range(4 * READS)]
    monkeypatch.setattr(harness.retrieval, "response", response)
    large = await refusal(references, *map(reference, items))
    assert large.code == "request_too_large"
    assert len(read) <= 2 * READS
