from collections import Counter

import pytest

from axon.rendezvous import most_load, ranked, weighted

KEYS = [f"conv_{number}" for number in range(4000)]
NODES = ["a", "b", "c", "d"]


def test_the_order_depends_on_nothing_but_key_and_nodes() -> None:
    assert ranked("conv_1", ["a", "b", "c"]) == ranked("conv_1", ["c", "a", "b"])
    assert sorted(ranked("conv_1", NODES)) == NODES
    assert ranked("conv_1", []) == []


def test_the_order_stays_what_it_was_in_earlier_releases() -> None:
    assert [ranked(f"conv_{number}", NODES)[0] for number in range(8)] == list("dbaaccbd")


def test_every_node_is_first_for_as_many_keys() -> None:
    firsts = Counter(ranked(key, NODES)[0] for key in KEYS)
    assert all(count == pytest.approx(1000, rel=0.12) for count in firsts.values())


def test_a_node_that_goes_moves_its_own_keys_only() -> None:
    for key in KEYS:
        first, *rest = ranked(key, NODES)
        assert ranked(key, [node for node in NODES if node != first]) == rest


def test_weights_are_shares() -> None:
    firsts = Counter(weighted(key, {"a": 90, "b": 10})[0] for key in KEYS)
    assert firsts["b"] / len(KEYS) == pytest.approx(0.1, abs=0.02)
    assert weighted("conv_1", {"a": 1, "b": 0}) == ["a"]


def test_a_greater_weight_takes_keys_and_gives_none() -> None:
    moved = 0
    for key in KEYS:
        before = weighted(key, {"a": 90, "b": 10})[0]
        after = weighted(key, {"a": 80, "b": 20})[0]
        assert (before, after) != ("b", "a")
        moved += before != after
    assert moved / len(KEYS) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(
    ("total", "nodes", "most"), [(0, 2, 0), (1, 2, 1), (8, 2, 5), (8, 1, 10), (100, 4, 32)]
)
def test_the_bound_is_a_quarter_above_the_mean(total: int, nodes: int, most: int) -> None:
    assert most_load(total, nodes) == most
