"""Costs of regular expressions."""

import time

import pytest

from axon.protocol.patterns import pattern_cost
from axon.protocol.schemas import MAX_PATTERN_COST


@pytest.mark.parametrize(
    ("pattern", "cost"),
    [
        ("", 0),
        ("abc", 3),
        (r"\d\.\u0041\x41\p{L}", 5),
        ("[^a-z]]", 2),
        (r"[\]a]b", 2),
        ("a{3}", 3),
        ("a{3,7}b", 8),
        ("a{7,}", 7),
        ("a{0}", 1),
        ("a{,3}", 3),
        ("{", 1),
        ("a*b+c?", 3),
        ("a*?", 2),
        ("(ab)", 3),
        ("(?:ab){10}", 30),
        ("((a{10}){10}){10}", 1_210),
        (")a(", 2),
    ],
)
def test_pattern_cost_counts_positions(pattern: str, cost: int) -> None:
    assert pattern_cost(pattern) == cost


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$",
        r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$",
        "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        "^.{1,2048}$",
        "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
        "(" * 15 + "a" + ")" * 15,
    ],
)
def test_pattern_cost_is_low_for_what_people_write(pattern: str) -> None:
    assert pattern_cost(pattern) <= MAX_PATTERN_COST // 2


@pytest.mark.parametrize(
    "pattern",
    [
        "(" * 1_000 + ")" * 1_000,
        "(" * 2_000,
        "a" + "*" * 1_000,
        "((a{50}){50}){50}",
        "a{99999999999999999999}",
        "a" + "{9}" * 600,
    ],
)
def test_pattern_cost_is_high_for_what_hurts_a_compiler(pattern: str) -> None:
    assert pattern_cost(pattern) > MAX_PATTERN_COST


@pytest.mark.parametrize("text", ["[", "(", "(?<", "{", "a{1,", "\\", "\\p{", "[\\", "((?:"])
def test_pattern_cost_of_a_broken_pattern_takes_no_time(text: str) -> None:
    began = time.process_time()
    pattern_cost(text * (2_000 // len(text)))
    assert time.process_time() - began < 0.5
