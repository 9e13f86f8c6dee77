"""CloudWatch metric math, as far as Axon's expressions go, on series of data points.

A series holds a number for each period, or None where there is no data point. As documented by
AWS: an operation on a missing point gives none, neither does a division by zero; ``FILL`` replaces
missing points by a number, or with ``REPEAT`` by the last one before, where there is one.
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Point = float | None
Series = Sequence[Point]

OPERATORS: dict[type[ast.operator | ast.cmpop], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def evaluate(queries: Sequence[Mapping[str, Any]], metrics: Mapping[str, Series]) -> list[Point]:
    """Return what a template's list of metrics and expressions returns for these metrics."""
    expressions = {query["Id"]: query["Expression"] for query in queries if "Expression" in query}
    inputs = {query["Id"] for query in queries} - expressions.keys()
    if inputs != metrics.keys():
        raise ValueError(f"the expressions are about {inputs}, given are {set(metrics)}")
    (result,) = (query["Id"] for query in queries if query.get("ReturnData", True))
    return _Evaluation(expressions, metrics).named(result)


class _Evaluation:
    def __init__(self, expressions: Mapping[str, str], metrics: Mapping[str, Series]) -> None:
        self._expressions, self._metrics = expressions, metrics
        (self._length,) = {len(series) for series in metrics.values()}

    def named(self, name: str) -> list[Point]:
        if name in self._metrics:
            return list(self._metrics[name])
        return self._of(ast.parse(self._expressions[name], mode="eval").body)

    def _of(self, node: ast.expr) -> list[Point]:
        match node:
            case ast.Constant(value=int() | float() as number):
                return [float(number)] * self._length
            case ast.Name(id=name):
                return self.named(name)
            case ast.BinOp(left=left, op=op, right=right):
                return _each(OPERATORS[type(op)], self._of(left), self._of(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return _each(OPERATORS[type(op)], self._of(left), self._of(right))
            case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
                return _choose(self._of(condition), self._of(then), self._of(otherwise))
            case ast.Call(func=ast.Name(id="FILL"), args=[series, ast.Name(id="REPEAT")]):
                return _repeat(self._of(series))
            case ast.Call(func=ast.Name(id="FILL"), args=[series, ast.Constant() as filler]):
                return _choose_present(self._of(series), self._of(filler))
        raise NotImplementedError(ast.unparse(node))


def _each(operate: Callable[[float, float], float], left: Series, right: Series) -> list[Point]:
    def one(a: Point, b: Point) -> Point:
        if a is None or b is None or (operate is operator.truediv and b == 0):
            return None
        return float(operate(a, b))

    return [one(a, b) for a, b in zip(left, right, strict=True)]


def _choose(condition: Series, then: Series, otherwise: Series) -> list[Point]:
    return [
        None if c is None else (a if c else b)
        for c, a, b in zip(condition, then, otherwise, strict=True)
    ]


def _choose_present(series: Series, filler: Series) -> list[Point]:
    return [b if a is None else a for a, b in zip(series, filler, strict=True)]


def _repeat(series: Series) -> list[Point]:
    filled: list[Point] = []
    for point in series:
        filled.append(filled[-1] if point is None and filled else point)
    return filled
