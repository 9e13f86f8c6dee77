"""The sandbox of chat templates: Jinja2's, with what Hugging Face's templates use, and bounds."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, ClassVar, NoReturn

from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from typing_extensions import override

MAX_STEPS = 5_000_000
"""Look-ups, calls and operations of one rendering: a few seconds. A conversation of a thousand
messages takes some ten thousand."""
MAX_CHARACTERS = 50_000_000
"""Length of a prompt, and of each text that is made on the way."""

_steps: ContextVar[list[int] | None] = ContextVar("steps of the rendering", default=None)


class TemplateSandbox(ImmutableSandboxedEnvironment):
    """Runs templates, which are programs that come with a model's weights.

    They see messages and tools, and nothing of the process. Each step is counted.
    """

    intercepted_binops: ClassVar[frozenset[str]] = frozenset(("+", "*", "**", "%"))  # type: ignore[misc]

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        self.filters["tojson"] = _tojson
        self.globals |= {
            "raise_exception": _raise,
            "range": _range,
            "strftime_now": lambda form: datetime.now(UTC).strftime(form),
        }

    @override
    def getattr(self, obj: Any, attribute: str) -> Any:
        _count()
        return super().getattr(obj, attribute)

    @override
    def getitem(self, obj: Any, argument: Any) -> Any:
        _count()
        return super().getitem(obj, argument)

    @override
    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063
        _count()
        return super().call(__context, __obj, *args, **kwargs)

    @override
    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _count()
        if operator in ("*", "**"):
            _check_product(operator, left, right)
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, str | list):
            _check_length(len(result))
        return result


@contextmanager
def bounded() -> Iterator[None]:
    """Count the steps of one rendering, which raises `SecurityError` beyond `MAX_STEPS`."""
    token = _steps.set([0])
    try:
        yield
    finally:
        _steps.reset(token)


def joined(pieces: Iterable[str]) -> str:
    """Return the pieces of a prompt as one text.

    Raises
    ------
    SecurityError
        It is too long.
    """
    kept, size = [], 0
    for piece in pieces:
        size += len(piece)
        _check_length(size)
        kept.append(piece)
    return "".join(kept)


def _count(steps: int = 1) -> None:
    counted = _steps.get()
    if counted is not None:
        counted[0] += steps
        if counted[0] > MAX_STEPS:
            raise SecurityError("the template takes too many steps")


def _check_product(operator: str, left: Any, right: Any) -> None:
    if operator == "**":
        raise SecurityError("a template may not compute powers")
    for value, times in ((left, right), (right, left)):
        if isinstance(value, str | list | tuple) and isinstance(times, int):
            _check_length(len(value) * times)


def _check_length(characters: int) -> None:
    if characters > MAX_CHARACTERS:
        raise SecurityError("the template makes a text that is too long")


def _range(*arguments: int) -> range:
    """Return a range, each of whose numbers counts as a step."""
    numbers = range(*arguments)
    _count(min(len(numbers), MAX_STEPS + 1))
    return numbers


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return JSON as models have seen it: Jinja2's own filter would escape ``<`` for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


class _Generation(Extension):
    """``{% generation %}``: marks an assistant's text for training; of no effect here."""

    tags: ClassVar[set[str]] = {"generation"}  # type: ignore[misc]

    @override
    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
