import json
from typing import Any

import pytest

from local.gateway.routes import RouteSelector

ROUTES = ["$connect", "$disconnect", "$default", "start", "stop"]


def select(body: Any, *, expression: str = "$request.body.type", routes: Any = ROUTES) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return RouteSelector(expression=expression, routes=routes).select(text)


@pytest.mark.parametrize("name", ["start", "stop"])
def test_route_is_selected_by_a_field(name: str) -> None:
    assert select({"type": name}) == name


@pytest.mark.parametrize(
    "body",
    [{"type": "other"}, {"type": ["start"]}, {"type": None}, {}, [], 1, "start", "{", "[" * 99_999],
)
def test_route_is_the_default_for_all_other_messages(body: Any) -> None:
    assert select(body) == "$default"
    assert select(body, routes=["start"]) is None


@pytest.mark.parametrize("name", ["$connect", "$disconnect", "$default"])
def test_route_selection_excludes_predefined_routes(name: str) -> None:
    assert select({"type": name}) == "$default"
    assert select({"type": name}, routes=["$connect", "$disconnect", "start"]) is None


def test_route_is_selected_by_a_nested_field() -> None:
    expression = "$request.body.command.name"
    assert select({"command": {"name": "stop"}}, expression=expression) == "stop"
    assert select({"command": "stop"}, expression=expression) == "$default"


def test_route_is_the_default_when_it_is_the_only_one() -> None:
    assert select("not json", routes=["$default"]) == "$default"
    assert select({"type": "start"}, routes=["$connect"]) is None
