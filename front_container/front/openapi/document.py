"""The document of /openapi.json: OpenAPI 3.1, made of the table of routes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from axon.protocol.objects import Json
from front.openapi.schemas import Schemas
from front.operations.operation import JSON, Answer, Events, Operation
from front.operations.parameters import CLIENT_REQUEST_ID, Parameter, PathParameter
from front.routing import OpenRoute, Route

_VARIABLE = re.compile(r"\{(\w+)(?::[^{}]*)?\}")
_JSON_BODIES = ("application/json", "text/json")
_INFO = {
    "title": "Axon",
    "version": "1",
    "summary": "OpenAI's and Anthropic's APIs, served by models of your own.",
    "description": "Fields that are not served are refused by name, with a remedy; their schemas "
    "have the values alone that ask for nothing. Bodies may be compressed (`Content-Encoding: "
    "gzip` or `deflate`). Every answer has the headers `x-request-id` and `request-id`.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, as OpenAI's SDKs."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "An API key, as Anthropic's SDKs.",
    },
}
_REASONS: Mapping[int, str] = {
    400: "Something is wrong with the request, or not served; the error names the field.",
    401: "No API key, or a wrong one.",
    403: "The Host or Origin header is one that has no access.",
    404: "What the request names does not exist.",
    408: "The body did not arrive within 60 s.",
    409: "The idempotency key belongs to another request, or the conversation is locked.",
    410: "The events are lost or no longer kept.",
    413: "The request is too large.",
    415: "The body is no JSON, or compressed in a way that is not served.",
    426: "No WebSocket handshake, where one is expected.",
    429: "Too many requests, or too many wrong keys.",
    500: "The server has failed.",
    502: "The model's answer cannot be used.",
    503: "The service cannot take the request now.",
    529: "The service cannot take the request now.",
}
_OF_KEYS = (401, 403, 429, 500)
_OF_BODIES = (400, 408, 413, 415)
_RETRIED = (429, 503, 529)
_REQUEST_ID = {"x-request-id": {"$ref": "#/components/headers/RequestId"}}
_RETRY_AFTER = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}


def document_of(routes: Sequence[Route | OpenRoute]) -> Json:
    """Return the description of an API.

    Parameters
    ----------
    routes : Sequence[Route | OpenRoute]
        All routes of the application.
    """
    return _Document(routes).whole()


def path_of(route: Route | OpenRoute) -> str:
    """Return a route's path as the document has it: without patterns of its variables."""
    return _VARIABLE.sub(r"{\1}", route.path)


class _Document:
    def __init__(self, routes: Sequence[Route | OpenRoute]) -> None:
        self._routes = routes
        self._schemas = Schemas(
            bodies=[route.operation.body for route in routes if route.operation.body],
            answers=list(_shapes(routes)),
        )
        self._refusals: dict[str, Json] = {}

    def whole(self) -> Json:
        paths: dict[str, Json] = {}
        for route in self._routes:
            paths.setdefault(path_of(route), {})[route.method.lower()] = self._operation(route)
        return {
            "openapi": "3.1.1",
            "info": _INFO,
            "servers": [{"url": "/", "description": "The host that serves this document"}],
            "security": [{scheme: []} for scheme in _SECURITY],
            "tags": [{"name": tag} for tag in self._tags()],
            "paths": paths,
            "components": self._components(),
        }

    def _components(self) -> Json:
        return {
            "securitySchemes": _SECURITY,
            "parameters": {"ClientRequestId": _parameter(CLIENT_REQUEST_ID)},
            "headers": {
                "RequestId": {
                    "description": "Id of the request; `request-id` has the same.",
                    "schema": {"type": "string"},
                },
                "RetryAfter": {
                    "description": "Seconds after which the request is worth a retry.",
                    "schema": {"type": "integer"},
                },
            },
            "responses": self._refusals,
            "schemas": self._schemas.components,
        }

    def _tags(self) -> list[str]:
        return list(dict.fromkeys(route.operation.tag for route in self._routes))

    def _operation(self, route: Route | OpenRoute) -> Json:
        operation = route.operation
        described: Json = {
            "operationId": operation.id,
            "tags": [operation.tag],
            "summary": operation.summary,
        }
        if operation.description:
            described["description"] = operation.description
        if isinstance(route, OpenRoute):
            described["security"] = []
        described["parameters"] = [
            *map(_parameter, _checked_parameters(route)),
            {"$ref": "#/components/parameters/ClientRequestId"},
        ]
        if body := operation.body:
            content = {"schema": self._schemas.of_body(body)}
            described["requestBody"] = {
                "required": True,
                "content": dict.fromkeys(_JSON_BODIES, content),
            }
        answers = {status: self._answer(answer) for status, answer in operation.answers.items()}
        answers |= dict(self._refusals_of(route))
        described["responses"] = {str(status): answers[status] for status in sorted(answers)}
        return described

    def _answer(self, answer: Answer) -> Json:
        described: Json = {"description": answer.description, "headers": _REQUEST_ID}
        if answer.content:
            described["content"] = {
                kind: self._content(shape) for kind, shape in answer.content.items()
            }
        return described

    def _content(self, shape: Any) -> Json:
        if shape is None:
            return {"schema": {"type": "string"}}
        if not isinstance(shape, Events):
            return {"schema": self._schemas.of_answer(shape)}
        # Before 3.2, whose `itemSchema` few tools read, the schema is that of each event.
        events = [self._event(name, each, shape) for name, each in shape.shapes.items()]
        if shape.last:
            events.append(_event_schema({"data": {"const": shape.last}}))
        return {"schema": {"oneOf": events}}

    def _event(self, name: str, shape: Any, events: Events) -> Json:
        """Return the schema of an event: its name, if it is sent with one, and its JSON."""
        schema = self._schemas.of_answer(shape)
        data = {"type": "string", "contentMediaType": JSON, "contentSchema": schema}
        named = {"event": {"const": name}} if events.named else {}
        return _event_schema({**named, "data": data})

    def _refusals_of(self, route: Route | OpenRoute) -> Iterator[tuple[int, Json]]:
        """Yield the errors of a route, each by its status; they are the same for many routes."""
        if isinstance(route, OpenRoute):
            return
        schema = self._schemas.of_answer(route.errors.shape)
        for status in sorted(_refused(route.operation) | set(route.errors.overloaded)):
            name = f"{route.errors.name}{status}"
            headers = _REQUEST_ID | (_RETRY_AFTER if status in _RETRIED else {})
            self._refusals[name] = {
                "description": _REASONS[status],
                "headers": headers,
                "content": {JSON: {"schema": schema}},
            }
            yield status, {"$ref": f"#/components/responses/{name}"}


def _event_schema(fields: Json) -> Json:
    return {"type": "object", "required": list(fields), "properties": fields}


def _refused(operation: Operation) -> set[int]:
    return {*_OF_KEYS, *operation.refusals, *(_OF_BODIES if operation.body else ())}


def _shapes(routes: Sequence[Route | OpenRoute]) -> Iterator[Any]:
    """Yield the types of all answers."""
    for route in routes:
        if isinstance(route, Route):
            yield route.errors.shape
        for answer in route.operation.answers.values():
            for shape in answer.content.values():
                if isinstance(shape, Events):
                    yield from shape.shapes.values()
                elif shape is not None:
                    yield shape


def _checked_parameters(route: Route | OpenRoute) -> tuple[Parameter, ...]:
    """Return a route's parameters.

    Raises
    ------
    ValueError
        Those of its path are not the variables that the path has.
    """
    parameters = route.operation.parameters
    described = {each.name for each in parameters if isinstance(each, PathParameter)}
    if (variables := set(_VARIABLE.findall(route.path))) != described:
        raise ValueError(
            f"{route.method} {route.path} has the variables {sorted(variables)}, "
            f"but its operation describes {sorted(described)}"
        )
    return parameters


def _parameter(parameter: Parameter) -> Json:
    described: Json = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "schema": parameter.schema,
    }
    return described | ({"required": True} if parameter.place == "path" else {})
