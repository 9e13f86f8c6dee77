"""Directed graphs: components, floors and the arrows that point upward."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

Graph = Mapping[str, AbstractSet[str]]
"""Boxes and the boxes that each one's arrows point to; every box is a key."""


def merged(graph: Graph, box_of: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the graph of larger boxes.

    Parameters
    ----------
    graph : Graph
        Arrows between the small boxes.
    box_of : Mapping[str, str]
        Large box of each small one. A small one without is left out, with its arrows.

    Returns
    -------
    dict[str, set[str]]
        Arrows between large boxes; none from a box to itself.
    """
    large: dict[str, set[str]] = {box: set() for box in box_of.values()}
    for small, targets in graph.items():
        for target in targets:
            start, end = box_of.get(small), box_of.get(target)
            if start is not None and end is not None and start != end:
                large[start].add(end)
    return large


def reachable(graph: Graph, starts: Iterable[str]) -> set[str]:
    """Return the boxes that a path of arrows leads to, with those it starts from."""
    seen: set[str] = set()
    waiting = list(starts)
    while waiting:
        box = waiting.pop()
        if box not in seen:
            seen.add(box)
            waiting.extend(graph[box])
    return seen


def reverse(graph: Graph) -> dict[str, set[str]]:
    """Return the graph with each arrow turned round."""
    turned: dict[str, set[str]] = {box: set() for box in graph}
    for box, targets in graph.items():
        for target in targets:
            turned[target].add(box)
    return turned


def components(graph: Graph) -> list[frozenset[str]]:
    """Return the strongly connected components, each after those that it points to.

    Notes
    -----
    Kosaraju's algorithm, without recursion.
    """
    turned = reverse(graph)
    found: list[frozenset[str]] = []
    done: set[str] = set()
    for box in reversed(_finishing_order(turned)):
        if box not in done:
            members = _unseen_from(graph, box, done)
            done |= members
            found.append(frozenset(members))
    return found


def cycles(graph: Graph) -> list[list[str]]:
    """Return the components of more than one box, sorted."""
    return sorted(sorted(members) for members in components(graph) if len(members) > 1)


def floors(graph: Graph) -> int:
    """Return the number of boxes on the longest path; a cycle counts as one box."""
    height: dict[str, int] = {}
    for members in components(graph):
        below = [height[end] for box in members for end in graph[box] if end not in members]
        height.update(dict.fromkeys(members, 1 + max(below, default=0)))
    return max(height.values(), default=0)


def upward_arrows(graph: Graph) -> list[tuple[str, str]]:
    """Return arrows without which the graph would have no cycle.

    Notes
    -----
    Boxes of a cycle are moved, one at a time, while that turns an arrow downward. The result is
    small, but not always the smallest.
    """
    found: list[tuple[str, str]] = []
    for members in components(graph):
        rank = {box: place for place, box in enumerate(_downward_order(graph, members))}
        found.extend(
            (box, end)
            for box in members
            for end in graph[box]
            if end in members and rank[end] < rank[box]
        )
    return sorted(found)


def _finishing_order(graph: Graph) -> list[str]:
    """Return the boxes, each after those that can be reached from it."""
    order: list[str] = []
    seen: set[str] = set()
    for start in sorted(graph):
        stack: list[tuple[str, Iterator[str]]] = []
        if start not in seen:
            seen.add(start)
            stack.append((start, iter(sorted(graph[start]))))
        while stack:
            box, targets = stack[-1]
            following = next((target for target in targets if target not in seen), None)
            if following is None:
                order.append(box)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(sorted(graph[following]))))
    return order


def _unseen_from(graph: Graph, start: str, done: AbstractSet[str]) -> set[str]:
    members: set[str] = set()
    waiting = [start]
    while waiting:
        box = waiting.pop()
        if box not in members:
            members.add(box)
            waiting.extend(target for target in graph[box] if target not in done)
    return members


def _downward_order(graph: Graph, members: AbstractSet[str]) -> list[str]:
    """Order a component so that few arrows point from later to earlier."""
    order = sorted(members, key=lambda box: (-len(graph[box] & members), box))
    improved = True
    while improved:
        improved = False
        for box in sorted(members):
            place = _best_place(graph, order, box)
            if place is not None:
                order.remove(box)
                order.insert(place, box)
                improved = True
    return order


def _best_place(graph: Graph, order: Sequence[str], box: str) -> int | None:
    """Return the place where the box adds the fewest upward arrows; None to leave it."""
    others = [other for other in order if other != box]
    upward = [sum(box in graph[other] for other in others)]
    for other in others:
        # Behind `other`, its arrow to the box points down, and the box's arrow to it points up.
        upward.append(upward[-1] - (box in graph[other]) + (other in graph[box]))
    # Place 0 is the top: arrows of boxes below it to it point up.
    best = min(range(len(upward)), key=upward.__getitem__)
    return best if upward[best] < upward[order.index(box)] else None
