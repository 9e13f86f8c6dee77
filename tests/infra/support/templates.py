"""Templates read by tests: resources by type, and values as they are after a deployment."""

from typing import Any

from aws_cdk.assertions import Template

Properties = dict[str, Any]


def resources(template: Template, kind: str) -> dict[str, Properties]:
    """Return the properties of the resources of a type, by logical id."""
    found = template.find_resources(kind)
    return {name: dict(resource.get("Properties", {})) for name, resource in found.items()}


def only(template: Template, kind: str) -> Properties:
    """Return the properties of the only resource of a type."""
    (properties,) = resources(template, kind).values()
    return properties


def text(value: Any) -> str:
    """Resolve what CloudFormation would; what only it can know is named: ``{Ref:Queue}``."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(map(text, parts))
        case {"Fn::Sub": str(pattern)}:
            return pattern
        case {"Fn::ImportValue": name}:
            return f"{{{text(name)}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{{{name}.{attribute}}}"
        case {"Ref": name}:
            return f"{{{name}}}"
        case {"Fn::Select": [int(), {"Fn::Split": [str(), source]}]}:
            return text(source)
        case _:
            return str(value)


def listed(value: Any) -> list[Any]:
    """Return what stands alone or in a list as a list."""
    return value if isinstance(value, list) else [value]
