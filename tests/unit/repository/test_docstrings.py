"""A `Parameters` section of a docstring names all parameters, or there is none."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.repository import ROOT

COMPLETE = (
    "layers/shared/python/axon",
    "inference_container/worker",
    "relay_container",
    "front_container",
    "infra",
    "local",
    "cli",
)
"""The folders whose sections are complete."""

EXEMPT = {"self", "cls", "settings", "scope", "id"}
SECTION = re.compile(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n---|\Z)", re.DOTALL | re.MULTILINE)


def named(docstring: str) -> set[str] | None:
    """Return the parameters that the section names; None without a section."""
    section = SECTION.search(docstring)
    if section is None:
        return None
    entries = re.findall(r"^(\S[^:\n]*)", section[1], re.MULTILINE)
    return {name.strip(" *") for entry in entries for name in entry.split(",")}


def parameters(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Return a function's parameters, or those of a class's constructor or its fields."""
    if isinstance(node, ast.ClassDef):
        for member in node.body:
            if isinstance(member, ast.FunctionDef) and member.name == "__init__":
                return parameters(member)
        return {
            ast.unparse(m.target) for m in node.body if isinstance(m, ast.AnnAssign) and _in_init(m)
        }
    arguments = node.args
    variadic = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *variadic]
    return {argument.arg for argument in every}


def incomplete(source: str) -> Iterator[str]:
    """Yield each class or function whose section lacks parameters, with their names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names = named(ast.get_docstring(node) or "")
            missing = set() if names is None else parameters(node) - names - EXEMPT
            if missing:
                yield f"{node.name}: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("folder", COMPLETE)
def test_parameter_sections_name_every_parameter(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {wrong}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for wrong in incomplete(path.read_text())
    ]
    assert found == []


def test_parameter_sections_that_lack_a_parameter_are_found() -> None:
    docstring = (
        '"""Do it.\n\n    Parameters\n    ----------\n    a, b : int\n        Seconds.\n    """'
    )
    assert list(incomplete(f"def f(a, b):\n    {docstring}")) == []
    assert list(incomplete(f"def f(a, *, b, c, **d):\n    {docstring}")) == ["f: c, d"]
    assert list(incomplete(f"class C:\n    {docstring}\n    a: int\n    c: int = 0")) == ["C: c"]
    assert list(incomplete('def f(a):\n    """Do it."""')) == []


def _in_init(field: ast.AnnAssign) -> bool:
    """Return whether a dataclass's constructor takes the field."""
    text = ast.unparse(field)
    return "init=False" not in text and "ClassVar" not in text
