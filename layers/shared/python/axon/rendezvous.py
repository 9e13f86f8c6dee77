"""Rendezvous hashing: one order of nodes for a key, which every process computes alike.

Highest random weight, Thaler and Ravishankar 1998: a node that comes or goes moves only the keys
that it gets or had. With weights, as Schindelhauer and Schomaker 2005 (``-w / ln h``): a node is
first for a share of the keys that is its share of the weights, and a changed weight moves no more
keys than that takes.
"""

import math
from collections.abc import Iterable, Mapping
from hashlib import sha256

LOAD_FACTOR = 1.25
"""A node's load may be at most this multiple of the mean load (`most_load`)."""

_BITS = 52  # as many as a float keeps


def ranked(key: str, nodes: Iterable[str]) -> list[str]:
    """Return the nodes in the key's order, its first choice first."""
    return weighted(key, dict.fromkeys(nodes, 1.0))


def weighted(key: str, weights: Mapping[str, float]) -> list[str]:
    """Return the nodes in the key's order; those without weight are left out."""
    scores = {
        node: -weight / math.log(_fraction(f"{node}\0{key}"))
        for node, weight in weights.items()
        if weight > 0
    }
    return sorted(scores, key=lambda node: (-scores[node], node))


def most_load(total: int, nodes: int) -> int:
    """Return the highest load of a node when `nodes` of them share a load of `total`.

    The bound of consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2018): a
    node with more than that passes a key on to the next in its order.
    """
    return math.ceil(LOAD_FACTOR * total / nodes)


def _fraction(text: str) -> float:
    """Return a number between 0 and 1, both excluded, that depends on nothing but the text."""
    number = int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> (64 - _BITS)
    return (number + 0.5) / (1 << _BITS)
