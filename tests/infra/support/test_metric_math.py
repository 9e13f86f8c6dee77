"""The evaluator of metric math that the scaling tests rely on."""

import pytest

from tests.infra.support.metric_math import Point, Series, evaluate


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a + b", [3, None, None]),
        ("a / b", [0.5, None, None]),
        ("a / c", [None, None, None]),
        ("FILL(a, 7)", [1, 7, 3]),
        ("FILL(b, REPEAT)", [2, 2, 2]),
        ("FILL(d, REPEAT)", [None, 4, 4]),
        ("IF(a > 2, 10, 20)", [20, None, 10]),
        ("IF(a, c, a)", [0, None, 0]),
    ],
)
def test_metric_math_evaluates_as_documented(expression: str, expected: list[Point]) -> None:
    metrics: dict[str, Series] = {
        "a": [1, None, 3],
        "b": [2, None, None],
        "c": [0, 0, 0],
        "d": [None, 4, None],
    }
    queries = [{"Id": name, "ReturnData": False} for name in metrics]
    assert evaluate([*queries, {"Id": "e", "Expression": expression}], metrics) == expected
