"""Waits in the source of the services: where something is awaited without a limit beside it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.repository import ROOT

SOURCES = (
    "inference_container/worker",
    "relay_container/relay",
    "front_container/front",
    "layers/shared/python/axon",
)
LEFT_OUT = (
    "layers/shared/python/axon/testing",
    "layers/shared/python/axon/adapters/postgres/migrations.py",  # of functions/migrate alone
)

_WAITING = frozenset(
    (
        *("acquire", "connect", "fetchall", "fetchone", "gather", "get", "join"),
        *("parse_response", "read", "read_response", "readany", "send_packed_command"),
        *("subscribe", "to_thread", "wait"),
    )
)
"""Names of awaited calls that wait for others: events, locks, sockets, threads, tasks."""
_BLOCKING = frozenset(("poll", "select"))
"""Names of calls that block a thread."""
_OWN = frozenset(("_log", "log"))
"""Names of objects whose calls lead to code that is searched itself."""
_FOREIGN = frozenset(
    ("_pool", "_session", "_vllm", "connection", "cursor", "engine", "pool", "redis")
)
"""Names of objects whose calls wait outside this code: databases, servers, engines."""
_LIMITS = ("timeout", "within_s", "until", "deadline", "max_attempts")
"""Parts of the names of arguments that limit a call."""


_TIME_LIMITS = ("timeout", "timeout_at", "transaction", "session")
"""Contexts that limit what runs inside; those of PostgreSQL do, too."""

MODULE = "(module)"
"""Stands for a module's own statements."""


@dataclass(frozen=True, order=True, slots=True)
class Wait:
    """A function that waits without a limit in its own text."""

    path: str
    function: str


def waits() -> set[Wait]:
    """Return all functions of services and library with a wait that nothing beside it ends."""
    return {wait for source in SOURCES for wait in _in_folder(ROOT / source)}


def _in_folder(folder: Path) -> Iterator[Wait]:
    for file in folder.rglob("*.py"):
        path = str(file.relative_to(ROOT))
        if not path.startswith(LEFT_OUT):
            yield from (Wait(path, function) for function in waiting(file.read_text()))


def waiting(source: str) -> set[str]:
    """Return the qualified names of the functions of a module that wait without a limit."""
    finder = _Finder()
    finder.visit(ast.parse(source))
    return finder.found


class _Finder(ast.NodeVisitor):
    """Walks through a module; knows in which function it is, and if a time limit surrounds it."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self._names: list[str] = []
        self._limits = 0

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._enter(node.name, node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._enter(node.name, node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._enter(node.name, node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        limited = any(_is_limit(item.context_expr) for item in node.items)
        self._limits += limited
        for item in node.items:
            self._check_context(item.context_expr)
        self.generic_visit(node)
        self._limits -= limited

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        # A bare name is a generator of somebody else; a call is searched itself.
        if not isinstance(node.iter, ast.Call) or _waits(node.iter):
            self._note()
        self.generic_visit(node)

    def visit_Await(self, node: ast.Await) -> None:
        # A bare name is a task or a future, whatever that stands for.
        match node.value:
            case ast.Call() as call if not _waits(call) or _has_limit(call):
                pass
            case ast.IfExp(body=ast.Call(), orelse=ast.Call()):
                pass
            case _:
                self._note()
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _name(node.func)
        blocks = name in _BLOCKING and not node.args[3:]  # the fourth one of `select` is its limit
        repeats = name == "RetryPolicy" and not _has_limit(node)
        if blocks or repeats:
            self._note()
        self.generic_visit(node)

    def _check_context(self, context: ast.expr) -> None:
        # A lock is a bare name; of the other contexts, task groups and what is foreign wait.
        match context:
            case ast.Call() if _name(context) != "TaskGroup" and not _waits(context):
                return
        self._note()

    def _enter(self, name: str, node: ast.AST) -> None:
        self._names.append(name)
        limits, self._limits = self._limits, 0
        self.generic_visit(node)
        self._limits = limits
        self._names.pop()

    def _note(self) -> None:
        if not self._limits:
            self.found.add(".".join(self._names) or MODULE)


def _waits(call: ast.Call) -> bool:
    """Return whether an awaited call waits for something outside the searched code."""
    if not isinstance(call.func, ast.Attribute):
        return False
    name, target = call.func.attr, _name(call.func.value)
    if name in ("get", "acquire") and call.args:  # of a client, not of a queue or lock
        return False
    if name == "gather" and not _gathers_names(call):  # calls, each of which is searched itself
        return False
    return target in _FOREIGN or (name in _WAITING and target not in _OWN)


def _gathers_names(call: ast.Call) -> bool:
    """Return whether a `gather` is given tasks by name, and not the calls themselves."""
    arguments = [a.value if isinstance(a, ast.Starred) else a for a in call.args]
    return any(isinstance(argument, (ast.Name, ast.Attribute)) for argument in arguments)


def _has_limit(call: ast.Call) -> bool:
    return any(
        keyword.arg is not None
        and any(limit in keyword.arg for limit in _LIMITS)
        and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is None)
        for keyword in call.keywords
    )


def _is_limit(context: ast.expr) -> bool:
    return isinstance(context, ast.Call) and _name(context.func) in _TIME_LIMITS


def _name(node: ast.expr) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case ast.Call(func=function):
            return _name(function)
    return ""
