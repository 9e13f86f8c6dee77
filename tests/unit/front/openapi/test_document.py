from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import schemathesis
from aiohttp import web
from jsonschema_rs import ValidationError

from front.openapi.document import document_of, path_of
from front.operations.operation import Operation
from front.operations.parameters import PathParameter
from front.routes.table import all_routes
from front.routing import OpenRoute
from tests.unit.front.front_harness import FrontHarness
from tests.unit.front.openapi.document_samples import references


@pytest.fixture
def harness_options() -> dict[str, bool]:
    return {"playground": True}


@cache
def document() -> dict[str, Any]:
    context = FrontHarness(playground=True).context
    return document_of(all_routes(context, ready=lambda: True))


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_document_is_a_valid_one_of_openapi_3_1() -> None:
    described = document()
    assert described["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(described).validate()
    with pytest.raises(ValidationError):
        schemathesis.openapi.from_dict({**described, "info": {}}).validate()


def test_document_refers_to_nothing_that_it_lacks_and_has_nothing_unused() -> None:
    components = document()["components"]
    defined = {
        f"#/components/{kind}/{name}"
        for kind, each in components.items()
        for name in each
        if kind != "securitySchemes"
    }
    assert set(references(document())) == defined


async def test_document_describes_each_route_of_the_application(harness: FrontHarness) -> None:
    described = dict(operations(document()))
    for route in harness.runner.app.router.routes():
        assert route.resource is not None
        name = f"{route.method} {route.resource.canonical}"
        assert name in described, f"{name} has no description: add it to the table of routes"
        assert described[name]["summary"], f"{name} has no summary"
        assert described[name]["responses"], f"{name} has no answer"
    ids = [operation["operationId"] for operation in described.values()]
    assert len(set(ids)) == len(ids) == len(list(harness.runner.app.router.routes()))


async def test_document_says_which_routes_need_no_key(harness: FrontHarness) -> None:
    described = document()
    assert described["security"] == [{"bearer": []}, {"apiKey": []}]
    for name, operation in operations(described):
        method, path = name.split(" ")
        url = path.replace("{", "").replace("}", "")
        async with harness.client.request(method, url, headers={"Authorization": ""}) as answer:
            assert (answer.status == 401) == ("security" not in operation), name
        assert ("401" in operation["responses"]) == ("security" not in operation), name


def test_document_names_the_events_of_streams() -> None:
    paths = (document())["paths"]

    def events(path: str) -> dict[str, Any]:
        content = paths[path]["post"]["responses"]["200"]["content"]["text/event-stream"]
        shapes = [event["properties"] for event in content["schema"]["oneOf"]]
        return {str(shape.get("event", {}).get("const")): shape["data"] for shape in shapes}

    named = events("/v1/responses")
    assert named["response.completed"]["contentSchema"]["$ref"].endswith("/ResponseEvent")
    assert {"response.created", "response.output_text.delta", "error"} <= named.keys()
    assert events("/v1/messages").keys() >= {"message_start", "message_stop", "ping", "error"}
    assert events("/v1/chat/completions") == {"None": {"const": "[DONE]"}}


def test_document_describes_what_is_refused_as_such() -> None:
    schemas = (document())["components"]["schemas"]
    assert {name: schema["title"] for name, schema in schemas.items()} == {n: n for n in schemas}
    chat = schemas["ChatRequest"]["properties"]
    assert chat["logprobs"]["anyOf"] == [{"type": "null"}, {"const": False}, {"const": 0}]
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
    async with harness.client.get("/openapi.json", headers={"Authorization": ""}) as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert await answer.json() == document()
        tag = answer.headers["ETag"]
    async with harness.client.get("/openapi.json", headers={"If-None-Match": tag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
