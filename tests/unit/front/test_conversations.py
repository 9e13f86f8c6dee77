import asyncio
from typing import Any

import pytest

from tests.unit.front.front_harness import OTHER_KEY, FrontHarness

PATH = "/v1/conversations"


async def call(harness: FrontHarness, method: str, path: str, **body: Any) -> Any:
    """Return the body of an answer of 200."""
    options: dict[str, Any] = {"json": body} if method == "POST" else {}
    async with harness.client.request(method, path, **options) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


def message(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


def texts(page: dict[str, Any]) -> list[str]:
    return [item["content"][0]["text"] for item in page["data"]]


async def test_conversations_are_created_changed_and_deleted(harness: FrontHarness) -> None:
    made = await call(harness, "POST", PATH, metadata={"topic": "a"}, items=None)
    url = f"{PATH}/{made['id']}"
    assert made == {
        "id": made["id"],
        "object": "conversation",
        "created_at": made["created_at"],
        "metadata": {"topic": "a"},
    }
    assert await call(harness, "GET", url) == made
    assert await call(harness, "POST", url, metadata={"b": "c"}) == made | {"metadata": {"b": "c"}}
    deleted = {"id": made["id"], "object": "conversation.deleted", "deleted": True}
    assert await call(harness, "DELETE", url) == deleted
    for method in ("GET", "DELETE"):
        async with harness.client.request(method, url) as answer:
            assert await harness.error(answer) == (404, "conversation_not_found", "conversation")


async def test_conversations_items_are_added_listed_in_pages_and_removed(
    harness: FrontHarness,
) -> None:
    made = await call(harness, "POST", PATH, items=[message("0"), message("1")])
    url = f"{PATH}/{made['id']}"
    added = await call(harness, "POST", f"{url}/items", items=[message("2"), message("3")])
    assert (texts(added), added["has_more"]) == (["2", "3"], False)
    first = await call(harness, "GET", f"{url}/items?limit=3")
    assert (texts(first), first["has_more"]) == (["3", "2", "1"], True)
    rest = await call(harness, "GET", f"{url}/items?limit=3&after={first['last_id']}")
    assert (texts(rest), rest["has_more"]) == (["0"], False)
    item = first["data"][1]
    assert await call(harness, "GET", f"{url}/items/{item['id']}") == item
    assert await call(harness, "DELETE", f"{url}/items/{item['id']}") == made
    left = await call(harness, "GET", f"{url}/items?order=asc")
    assert texts(left) == ["0", "1", "3"]
    for method in ("GET", "DELETE"):
        async with harness.client.request(method, f"{url}/items/{item['id']}") as answer:
            assert await harness.error(answer) == (404, "item_not_found", "item_id")


async def test_conversations_get_the_items_of_a_response(harness: FrontHarness) -> None:
    made = await call(harness, "POST", PATH, items=[message("before")])
    asking = asyncio.create_task(harness.post(conversation={"id": made["id"]}))
    response_id = await harness.submitted()
    async with await harness.post(conversation=made["id"]) as answer:
        assert await harness.error(answer) == (409, "conversation_locked", "conversation")
    await harness.responses.answer(response_id, "Hello")
    async with await asking as answer:
        assert (await answer.json())["conversation"] == {"id": made["id"]}
    page = await call(harness, "GET", f"{PATH}/{made['id']}/items?order=asc")
    assert texts(page) == ["before", "hello", "Hello"]
    assert [item["role"] for item in page["data"]] == ["user", "user", "assistant"]


async def test_conversations_are_hidden_from_other_tenants(harness: FrontHarness) -> None:
    made = await call(harness, "POST", PATH, items=[message("mine")])
    url = f"{PATH}/{made['id']}"
    headers = {"Authorization": f"Bearer {OTHER_KEY}"}
    for method, path, body in (
        ("GET", url, None),
        ("POST", url, {"metadata": {}}),
        ("DELETE", url, None),
        ("GET", f"{url}/items", None),
        ("POST", f"{url}/items", {"items": [message("x")]}),
        ("GET", f"{url}/items/msg_1", None),
        ("DELETE", f"{url}/items/msg_1", None),
        ("POST", "/v1/responses", {"model": "echo", "input": "x", "conversation": made["id"]}),
    ):
        async with harness.client.request(method, path, json=body, headers=headers) as answer:
            assert await harness.error(answer) == (404, "conversation_not_found", "conversation")


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        ("", {"items": [message("x")] * 21}, "array_above_max_length", "items"),
        ("", {"items": [{"type": "item_reference", "id": "msg_1"}]}, "invalid_value", "items.0"),
        ("", {"metadata": {f"{n}": "" for n in range(17)}}, "array_above_max_length", "metadata"),
        ("", {"metadata": {"a": "x" * 513}}, "string_above_max_length", "metadata.a"),
        ("", {"item": [message("x")]}, "unknown_parameter", "item"),
        ("/{id}", {"metadata": {}, "meta": {}}, "unknown_parameter", "meta"),
        ("/{id}/items", {"item": [message("x")]}, "unknown_parameter", "item"),
        ("/{id}", {}, "missing_required_parameter", "metadata"),
        ("/{id}/items", {}, "missing_required_parameter", "items"),
        ("/{id}/items", {"items": []}, "invalid_value", "items"),
        ("/{id}/items?include=reasoning", {}, "unsupported_parameter", "include"),
    ],
)
async def test_conversations_refuse_by_name(
    harness: FrontHarness, path: str, body: dict[str, Any], code: str, param: str
) -> None:
    made = await call(harness, "POST", PATH)
    async with harness.client.post(PATH + path.format(id=made["id"]), json=body) as answer:
        assert await harness.error(answer) == (400, code, param)
