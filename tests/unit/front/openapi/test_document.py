from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

from front.openapi.document import document_of, path_of
from front.operations.operation import Operation
from front.operations.parameters import PathParameter
from front.routing import OpenRoute
from tests.unit.front.front_harness import FrontHarness

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def harness_options() -> dict[str, bool]:
    return {"playground": True}


async def document(harness: FrontHarness) -> dict[str, Any]:
    async with harness.client.get("/openapi.json", headers={"Authorization": ""}) as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        return dict(await answer.json())


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


async def test_document_is_a_valid_one_of_openapi_3_1(harness: FrontHarness) -> None:
    described = await document(harness)
    OpenAPIV31SpecValidator(described).validate()
    assert described["openapi"].startswith("3.1.")


async def test_document_describes_each_route_of_the_application(harness: FrontHarness) -> None:
    described = dict(operations(await document(harness)))
    for route in harness.runner.app.router.routes():
        assert route.resource is not None
        name = f"{route.method} {route.resource.canonical}"
        assert name in described, f"{name} has no description: add it to the table of routes"
        assert described[name]["summary"], f"{name} has no summary"
        assert described[name]["responses"], f"{name} has no answer"
    ids = [operation["operationId"] for operation in described.values()]
    assert len(set(ids)) == len(ids) == len(list(harness.runner.app.router.routes()))


async def test_document_says_which_routes_need_no_key(harness: FrontHarness) -> None:
    described = await document(harness)
    assert described["security"] == [{"bearer": []}, {"apiKey": []}]
    for name, operation in operations(described):
        method, path = name.split(" ")
        url = path.replace("{", "").replace("}", "")
        async with harness.client.request(method, url, headers={"Authorization": ""}) as answer:
            assert (answer.status == 401) == ("security" not in operation), name
        assert ("401" in operation["responses"]) == ("security" not in operation), name


async def test_document_names_the_events_of_streams(harness: FrontHarness) -> None:
    paths = (await document(harness))["paths"]

    def events(path: str) -> dict[str, Any]:
        content = paths[path]["post"]["responses"]["200"]["content"]
        return dict(content["text/event-stream"])

    named = events("/v1/responses")["x-events"]
    assert {"response.created", "response.output_text.delta", "error"} <= named.keys()
    assert events("/v1/messages")["x-events"].keys() >= {"message_start", "message_stop", "ping"}
    assert events("/v1/chat/completions")["x-last-event"] == "[DONE]"


async def test_document_describes_what_is_refused_as_such(harness: FrontHarness) -> None:
    schemas = (await document(harness))["components"]["schemas"]
    chat = schemas["ChatRequest"]["properties"]
    assert chat["logprobs"]["enum"] == [None, False]
    assert chat["logprobs"]["description"].startswith("Not served. Leave it out")
    assert chat["user"]["description"] == "Taken, and changes nothing."
    message = schemas["CreateMessage"]
    assert message["additionalProperties"] is False
    create = schemas["CreateResponse"]["properties"]
    assert {"type", "stream_id", "generate", "cancel_on_disconnect"}.isdisjoint(create)
    assert create["tools"]["anyOf"][0]["maxItems"] == 128


def test_document_of_a_path_without_its_variables_is_refused() -> None:
    async def handler(_request: web.Request) -> web.Response:
        raise NotImplementedError

    operation = Operation(id="a", tag="A", summary="A", answers={})
    route = OpenRoute(method="GET", path="/a/{b:.+}", operation=operation, handler=handler)
    with pytest.raises(ValueError, match=r"GET /a/\{b:\.\+\} has the variables"):
        document_of([route])
    described = replace(operation, parameters=(PathParameter("b", "B."),))
    paths = document_of([replace(route, operation=described)])["paths"]
    assert list(paths) == [path_of(route)] == ["/a/{b}"]


async def test_document_is_made_once_and_sent_again_only_if_it_has_changed(
    harness: FrontHarness,
) -> None:
    async with harness.client.get("/openapi.json") as answer:
        tag = answer.headers["ETag"]
    async with harness.client.get("/openapi.json", headers={"If-None-Match": tag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
