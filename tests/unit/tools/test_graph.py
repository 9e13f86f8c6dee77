"""Graph measures on small drawings and on random graphs."""

from hypothesis import given
from hypothesis import strategies as st

from tools.graph import (
    components,
    cycles,
    floors,
    merged,
    reachable,
    reverse,
    upward_arrows,
)

LADDER = {"a": {"b", "c"}, "b": {"c"}, "c": {"d"}, "d": set[str]()}
RING = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set[str]()}
NAMES = "abcdefg"
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES))).map(
    lambda drawn: {box: drawn.get(box, set()) - {box} for box in NAMES}
)


def test_floors_counts_the_boxes_of_the_longest_path() -> None:
    assert floors(LADDER) == 4


def test_floors_counts_a_cycle_once() -> None:
    assert floors(RING) == 2


def test_floors_of_an_empty_graph_is_zero() -> None:
    assert floors({}) == 0


def test_cycles_lists_only_components_of_several_boxes() -> None:
    assert cycles(RING) == [["a", "b", "c"]]
    assert cycles(LADDER) == []


def test_upward_arrows_of_a_ring_is_one() -> None:
    assert len(upward_arrows(RING)) == 1


def test_merged_keeps_arrows_between_boxes_only() -> None:
    boxes = {"a": "top", "b": "top", "c": "low"}
    assert merged(LADDER, boxes) == {"top": {"low"}, "low": set()}


def test_reachable_includes_the_start() -> None:
    assert reachable(LADDER, ["b"]) == {"b", "c", "d"}


def test_reverse_turns_each_arrow_round() -> None:
    assert reverse(LADDER) == {"a": set(), "b": {"a"}, "c": {"a", "b"}, "d": {"c"}}


@given(GRAPHS)
def test_components_hold_the_boxes_that_reach_each_other(graph: dict[str, set[str]]) -> None:
    found = components(graph)
    assert sorted(box for members in found for box in members) == sorted(NAMES)
    for members in found:
        for box in members:
            both_ways = {o for o in reachable(graph, [box]) if box in reachable(graph, [o])}
            assert both_ways == members


@given(GRAPHS)
def test_components_come_after_what_they_point_to(graph: dict[str, set[str]]) -> None:
    seen: set[str] = set()
    for members in components(graph):
        seen |= members
        assert all(graph[box] <= seen for box in members)


@given(GRAPHS)
def test_upward_arrows_are_all_that_closes_a_cycle(graph: dict[str, set[str]]) -> None:
    upward = upward_arrows(graph)
    cut = {box: {end for end in ends if (box, end) not in upward} for box, ends in graph.items()}
    assert cycles(cut) == []
    assert bool(upward) == bool(cycles(graph))
