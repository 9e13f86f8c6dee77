import json
import random
import tracemalloc
from typing import Any

import pytest

from axon.protocol.counting import MAX_VALUES, PIECE_BYTES, count_values
from axon.serialization import dumps


def counted(value: Any) -> int:
    """Return what `count_values` has to count, by the decoded value."""
    if isinstance(value, dict):
        return 1 + sum(1 + counted(inner) for inner in value.values()) + max(0, len(value) - 1)
    if isinstance(value, list):
        return 1 + sum(map(counted, value)) + max(0, len(value) - 1)
    return 0


def some_json(chance: random.Random, depth: int = 0) -> Any:
    text = "".join(chance.choices('a"\\{[,:ü\n1e999', k=chance.randrange(12)))
    match chance.randrange(5 if depth < 4 else 2):
        case 0:
            return text * chance.choice((1, 1, 1, 9_000))
        case 1:
            return chance.choice((1, 2.5, None, True, -3))
        case 2:
            return [some_json(chance, depth + 1) for _ in range(chance.randrange(6))]
        case _:
            return {f"{text}{n}": some_json(chance, depth + 1) for n in range(chance.randrange(6))}


def test_values_are_counted_whatever_the_strings_hold() -> None:
    chance, longest = random.Random(1), 0
    for _ in range(300):
        value = some_json(chance)
        for text in (dumps(value), json.dumps(value, indent=1).encode()):
            longest = max(longest, len(text))
            found = count_values(text)
            assert (found.values, found.huge_numbers) == (1 + counted(value), False), text[:200]
    assert longest > 3 * PIECE_BYTES


@pytest.mark.parametrize("before", range(PIECE_BYTES - 12, PIECE_BYTES + 4))
def test_strings_and_numbers_may_lie_across_two_pieces(before: int) -> None:
    for inner, values, huge in (
        (rb'"\\\"[{,"', 1, False),
        (b"1e400", 1, True),
        (b'"1e400"', 1, False),
    ):
        found = count_values(b" " * before + inner)
        assert (found.values, found.huge_numbers) == (values, huge)


@pytest.mark.parametrize(
    "body", [b"[" + b"{}," * 7_000_000, b"[]," * 7_000_000, b'{"a":1,' * 3_000_000]
)
def test_count_of_a_hostile_text_ends_early_and_takes_no_memory(body: bytes) -> None:
    tracemalloc.start()
    try:
        found = count_values(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert MAX_VALUES < found.values < MAX_VALUES + PIECE_BYTES
    assert peak < 32 * PIECE_BYTES
