"""Schemas of requests' bodies and answers, generated from the types that have or describe them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override

from axon.protocol.objects import Json
from axon.serialization import dumps, loads
from front.operations.operation import RequestBody

_REF = "#/components/schemas/"
_QUALIFIED = re.compile(r"(?:\w+__)?([a-z_]+)__[a-z_]+__(\w+)")
"""Name of a schema, with its module where two modules have one of the same name."""
_IGNORED = "Taken, and changes nothing."

_Key = tuple[str, Literal["validation", "serialization"]]


class _Generator(GenerateJsonSchema):
    """Writes no titles of fields, which repeat their names."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class Schemas:
    """The schemas of all types that an API has, each once.

    Parameters
    ----------
    bodies : Iterable[RequestBody]
        The requests' bodies.
    answers : Iterable[Any]
        The types of answers.

    Attributes
    ----------
    components : dict[str, Json]
        The schemas, by their names.
    """

    def __init__(self, *, bodies: Iterable[RequestBody], answers: Iterable[Any]) -> None:
        described = {body.model: body for body in bodies}
        types: dict[_Key, Any] = {(repr(model), "validation"): model for model in described}
        types |= {(repr(shape), "serialization"): shape for shape in answers}
        self._refs, self.components = _generated(types)
        for body in described.values():
            name = self.of_body(body)["$ref"].removeprefix(_REF)
            self.components[name] = _as_served(self.components[name], body)

    def of_body(self, body: RequestBody) -> Json:
        """Return the schema of a request's body."""
        return self._refs[repr(body.model), "validation"]

    def of_answer(self, shape: Any) -> Json:
        """Return the schema of an answer's type."""
        return self._refs[repr(shape), "serialization"]


def _generated(types: Mapping[_Key, Any]) -> tuple[dict[_Key, Json], dict[str, Json]]:
    """Return the schema of each type, and the schemas that they refer to, by their names."""
    inputs = [(name, mode, TypeAdapter(shape)) for (name, mode), shape in types.items()]
    refs, whole = TypeAdapter.json_schemas(
        inputs, ref_template=_REF + "{model}", schema_generator=_Generator
    )
    components = _without_noise(whole.get("$defs", {}))
    text = dumps({"refs": list(refs.values()), "components": components}).decode()
    for name in components:
        if (qualified := _QUALIFIED.fullmatch(name)) is not None:
            # `chat` and `Tool` of `axon.protocol.chat.request.Tool`
            short = qualified[1].title().replace("_", "") + qualified[2]
            text = text.replace(f'"{name}"', f'"{short}"').replace(f'/{name}"', f'/{short}"')
    generated = loads(text.replace("``", "`"))
    # pydantic also defines what it skips. Tools name classes by titles, which must differ, too.
    used = {
        name: {**each, "title": name}
        for name, each in generated["components"].items()
        if f'/{name}"' in text
    }
    return dict(zip(refs, generated["refs"], strict=True)), used


def _as_served(schema: Json, body: RequestBody) -> Json:
    """Return the schema of a body with what the model alone does not say of it."""
    fields: dict[str, Json] = {
        name: field for name, field in schema["properties"].items() if name not in body.hidden
    }
    for name, most in body.longest.items():
        for kind in fields[name].get("anyOf", [fields[name]]):
            if kind.get("type") == "array":
                kind["maxItems"] = most
    fields |= body.added
    for name in sorted(body.ignored):
        fields.setdefault(name, {"description": _IGNORED})
    for name, remedy in sorted(body.refused.items()):
        fields.setdefault(name, _refused(remedy, body.harmless.get(name, ())))
    served = {**schema, "properties": fields}
    if body.closed:
        served["additionalProperties"] = False
    # Of the class, which says what is special about it in the code.
    served.pop("description", None)
    return served


def _refused(remedy: str, harmless: tuple[Any, ...]) -> Json:
    """Return the schema of a field that is not served: the values that ask for nothing."""
    values = [None, *harmless]
    # Python compares them as equal, and JSON schemas do not.
    values += [int(value) for value in harmless if isinstance(value, bool)]
    values += [bool(value) for value in harmless if type(value) is int and value in (0, 1)]
    return {"anyOf": list(map(_exactly, values)), "description": f"Not served. {remedy}"}


def _exactly(value: Any) -> Json:
    """Return the schema of one value; tools that make clients read no `const` that has parts."""
    match value:
        case None:
            return {"type": "null"}
        case list():
            parts: Json = {"prefixItems": list(map(_exactly, value))} if value else {"items": {}}
            return {"type": "array", **parts, "minItems": len(value), "maxItems": len(value)}
        case dict():
            return {
                "type": "object",
                "properties": {name: _exactly(part) for name, part in value.items()},
                "required": list(value),
                "additionalProperties": False,
            }
    return {"const": value}


def _without_noise(value: Any) -> Any:
    """Return a schema without defaults that are null or objects, which some tools do not read."""
    if isinstance(value, list):
        return list(map(_without_noise, value))
    if not isinstance(value, dict):
        return value
    return {
        name: _without_noise(part)
        for name, part in value.items()
        if name != "default" or not (part is None or isinstance(part, dict))
    }
