"""Cost of regular expressions: how much a compiler makes of one."""

import re

_MOST = 10**9
"""Larger costs are all the same; numbers that grow with each group would be slow to multiply."""
_TOKEN = re.compile(
    r"""
      \\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]{1,8}\}|[pP]\{[^{}]{0,64}\}|.)
    | \[(?:\\.|[^\]\\])*+\]?  # a class, as JavaScript reads it: the first bracket ends it
    | (?P<open>\((?:\?(?:[:=!>|]|<[=!]|P?<\w{1,64}>))?)
    | (?P<close>\))
    | (?P<range>\{(?P<least>\d{0,20})(?P<comma>,(?P<most>\d{0,20}))?\})
    | (?P<many>[*+?])
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


class _Group:
    """The positions of a group so far, and of its last part, to which a quantifier belongs."""

    __slots__ = ("before", "last", "quantified")

    def __init__(self) -> None:
        self.before = 0
        self.last = 0
        self.quantified = False

    def add(self, cost: int) -> None:
        self.before, self.last, self.quantified = self.before + self.last, cost, False

    def repeat(self, times: int) -> None:
        # A quantifier of a quantifier (or one that is lazy) doubles what some compilers make:
        # xgrammar 0.2.8 hangs on 30,000 asterisks in a row.
        times *= 2 if self.quantified else 1
        self.last, self.quantified = min(self.last * times, _MOST), True

    @property
    def cost(self) -> int:
        return min(self.before + self.last, _MOST)


def pattern_cost(pattern: str) -> int:
    """Return the positions of a regular expression when all its repetitions are written out.

    It grows with the length, the bounds of repetitions (which multiply in groups inside each other)
    and the groups themselves, each of which costs as much as its depth. Nothing is judged: a
    pattern that no compiler takes has a cost, too. Callers bound its length before.
    """
    groups = [_Group()]
    for token in _TOKEN.finditer(pattern):
        group = groups[-1]
        match token.lastgroup:
            case "open":
                groups.append(_Group())
            case "close":
                if len(groups) > 1:
                    _close(groups)
            case "range":
                group.repeat(_times(token))
            case "many":
                group.repeat(1)
            case _:
                group.add(1)
    while len(groups) > 1:
        _close(groups)
    return groups[0].cost


def _close(groups: list[_Group]) -> None:
    inner = groups.pop()
    groups[-1].add(inner.cost + len(groups))


def _times(token: re.Match[str]) -> int:
    """Return how often a bounded repetition is written out; at least once, for its own branch."""
    least, most = int(token["least"] or 0), int(token["most"] or 0)
    return min(max(least, most, 1), _MOST)
