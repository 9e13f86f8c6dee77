from collections import Counter

import pytest

from axon.rendezvous import most_load, ranked, weighted

KEYS = [f"conv_{number}" for number in range(4000)]
NODES = ["a", "b", "c", "d"]


def test_ranked_order_depends_only_on_key_and_nodes() -> None:
    assert ranked("conv_1", ["a", "b", "c"]) == ranked("conv_1", ["c", "a", "b"])
    assert sorted(ranked("conv_1", NODES)) == NODES
    assert ranked("conv_1", []) == []


def test_ranked_order_is_that_of_earlier_releases() -> None:
    assert [ranked(f"conv_{number}", NODES)[0] for number in range(8)] == list("dbaaccbd")


def test_ranked_puts_each_node_first_for_an_equal_share_of_keys() -> None:
    firsts = Counter(ranked(key, NODES)[0] for key in KEYS)
    assert all(count == pytest.approx(1000, rel=0.12) for count in firsts.values())


def test_ranked_moves_only_the_keys_of_a_removed_node() -> None:
    for key in KEYS:
        first, *rest = ranked(key, NODES)
        assert ranked(key, [node for node in NODES if node != first]) == rest


def test_weighted_gives_each_node_its_share() -> None:
    firsts = Counter(weighted(key, {"a": 90, "b": 10})[0] for key in KEYS)
    assert firsts["b"] / len(KEYS) == pytest.approx(0.1, abs=0.02)
    assert weighted("conv_1", {"a": 1, "b": 0}) == ["a"]


def test_weighted_moves_keys_only_to_a_node_of_greater_weight() -> None:
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
def test_most_load_is_a_quarter_above_the_mean(total: int, nodes: int, most: int) -> None:
    assert most_load(total, nodes) == most
