import pytest

from cli.tables import duration, table


def test_table_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(("name", "n"), [("gateway", 1), ("x", 22)]) == (
        "name     n\ngateway  1\nx        22"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (2e5, "2 d"),
    ],
)
def test_duration_uses_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds) == text
