import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.conversations import Turn
from worker.pipeline.fit import Search, cuts, input_limit, stepped


@pytest.mark.parametrize(
    ("asked", "window", "most", "limit"),
    [
        (None, 1000, 1000, 750),
        (None, 1000, 100, 900),
        (10, 1000, 1000, 990),
        (300, 1000, 100, 900),
        (1000, 1000, 1000, 500),
        (None, 3, 3, 2),
        (1, 1, 1, 0),
    ],
)
def test_input_limit_leaves_the_answer_its_share_of_the_window(
    asked: int | None, window: int, most: int, limit: int
) -> None:
    assert input_limit(context_window=window, max_output_tokens=most, asked=asked) == limit


def call(name: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": name, "name": "f", "arguments": "{}"}


def output(name: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": name, "output": "1"}


SAID = {"type": "message", "role": "user", "content": "hello"}


def a_turn(*asked: dict[str, Any], answered: tuple[dict[str, Any], ...] = ()) -> Turn:
    return Turn(
        response_id="resp_0",
        previous_response_id=None,
        conversation_id="conv",
        tenant_id="t",
        input=list(asked),
        output=list(answered),
    )


class TestCuts:
    def test_are_between_any_turns(self) -> None:
        assert cuts([a_turn(SAID)] * 3, [SAID]) == [0, 1, 2, 3]

    def test_are_one_without_turns(self) -> None:
        assert cuts([], [SAID]) == [0]

    def test_are_not_between_a_call_and_its_output(self) -> None:
        turns = [a_turn(SAID), a_turn(SAID, answered=(call("a"),)), a_turn(output("a"))]
        assert cuts(turns, [SAID]) == [0, 1, 3]

    def test_are_not_within_turns_between_a_call_and_its_output(self) -> None:
        turns = [a_turn(answered=(call("a"),)), a_turn(SAID), a_turn(output("a")), a_turn(SAID)]
        assert cuts(turns, [SAID]) == [0, 3, 4]

    def test_keep_a_chain_of_calls_up_to_the_input(self) -> None:
        turns = [
            a_turn(SAID),
            a_turn(SAID, answered=(call("a"),)),
            a_turn(output("a"), answered=(call("b"),)),
        ]
        assert cuts(turns, [output("b")]) == [0, 1]

    def test_match_an_output_to_the_last_call_with_its_id(self) -> None:
        turns = [
            a_turn(SAID, answered=(call("a"),)),
            a_turn(output("a")),
            a_turn(call("a"), output("a")),
        ]
        assert cuts(turns, [SAID]) == [0, 2, 3]

    def test_ignore_an_output_without_a_call(self) -> None:
        assert cuts([a_turn(SAID), a_turn(output("a"))], [SAID]) == [0, 1, 2]

    @given(
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).map(sorted), max_size=5),
        st.integers(1, 9),
    )
    def test_keep_only_calls_and_their_outputs_together(
        self, pairs: list[list[int]], count: int
    ) -> None:
        spans = [(min(first, count), min(last, count)) for first, last in pairs]
        items: list[list[dict[str, Any]]] = [[SAID] for _ in range(count + 1)]
        for name, (first, _) in enumerate(spans):
            items[first].append(call(str(name)))
        for name, (_, last) in enumerate(spans):
            items[last].append(output(str(name)))
        allowed = cuts([a_turn(*told) for told in items[:-1]], items[-1])
        apart = {cut for first, last in spans for cut in range(first + 1, last + 1)}
        assert allowed == [cut for cut in range(count + 1) if cut not in apart]


def search(tokens: list[int], limit: int, sizes: list[int] | None = None) -> tuple[int, list[int]]:
    """Return what is found, the last if none fits, and what was measured."""
    searching = Search(sizes or [4 * count for count in tokens], limit=limit)
    measured: list[int] = []
    found = -1
    while (probe := searching.probe) is not None:
        assert probe not in measured
        measured.append(probe)
        if searching.record(probe, tokens[probe]) or not searching.found:
            found = probe
    return found, measured


class TestSearch:
    def test_measures_a_conversation_that_fits_once(self) -> None:
        assert search([100, 50], 100) == (0, [0])

    def test_returns_the_only_prompt_although_it_does_not_fit(self) -> None:
        assert search([100], 50) == (0, [0])

    def test_returns_the_last_prompt_if_none_fits(self) -> None:
        assert search([100, 90, 80], 50)[0] == 2

    def test_needs_few_measurements_for_even_turns(self) -> None:
        tokens = [50 + 100 * turns for turns in reversed(range(1001))]
        found, measured = search(tokens, 6144)
        assert tokens[found] <= 6144 < tokens[found - 1]
        assert len(measured) <= 5
        assert sum(tokens[probe] for probe in measured) < 5 * 6144

    def test_bisects_a_conversation_of_uneven_turns(self) -> None:
        tokens = [1000 - number for number in range(1000)]
        sizes = [10**9 - number for number in range(1000)]
        found, measured = search(tokens, 400, sizes)
        assert found == 600
        assert len(measured) <= 6 + 10

    @given(
        st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=60),
        st.integers(1, 400),
    )
    def test_returns_the_first_prompt_that_fits(
        self, turns: list[tuple[int, int]], limit: int
    ) -> None:
        tokens, sizes = [0], [0]
        for more_tokens, more_characters in turns:
            tokens.insert(0, tokens[0] + more_tokens)
            sizes.insert(0, sizes[0] + more_characters)
        found, _ = search(tokens, limit, sizes)
        assert found == next(number for number, count in enumerate(tokens) if count <= limit)

    @given(st.lists(st.integers(0, 100), min_size=1, max_size=40), st.integers(0, 100))
    def test_returns_a_prompt_that_fits_or_the_last(self, tokens: list[int], limit: int) -> None:
        sizes = list(range(len(tokens), 0, -1))
        found, measured = search(tokens, limit, sizes)
        assert found in measured
        assert tokens[found] <= limit or found == len(tokens) - 1
        if tokens[found] <= limit and found:
            assert tokens[found - 1] > limit
            assert found - 1 in measured


WINDOW = 1000


class Growing:
    """A conversation of turns with these numbers of tokens, four characters each.

    `ratio` are the tokens for four characters: 1 is English text.
    """

    def __init__(self, turns: list[int], *, ratio: float = 1.0) -> None:
        self._turns = turns
        self._ratio = ratio

    def cut(self, count: int, limit: int) -> tuple[int, float]:
        """Return how many of the first `count` turns are left out, and the tokens of the others."""
        turns = self._turns[:count]
        sizes = [4 * sum(turns[n:]) for n in range(count + 1)]
        tokens = [size / 4 * self._ratio for size in sizes]
        least = next(n for n, fitting in enumerate(tokens) if fitting <= limit)
        if least:
            least = stepped(
                range(count + 1), sizes, least=least, tokens=round(tokens[least]), window=WINDOW
            )
        return least, tokens[least]


class TestStepped:
    @given(
        st.lists(st.integers(20, 120), min_size=20, max_size=60),
        st.sampled_from([0.4, 0.8, 1.0, 1.3, 2.5]),
        st.sampled_from([500, 750, 950]),
    )
    def test_frees_a_step_and_then_lets_the_prompt_grow(
        self, turns: list[int], ratio: float, limit: int
    ) -> None:
        growing = Growing(turns, ratio=ratio)
        cuts = [growing.cut(count, limit) for count in range(len(turns) + 1)]
        assert all(tokens <= limit for _, tokens in cuts)
        assert all(after[0] >= before[0] for before, after in itertools.pairwise(cuts))
        # A step is 177 to 354 tokens, and begins with the first turn after it.
        turn = 120 * ratio
        dropped_to = {dropped: tokens for dropped, tokens in reversed(cuts) if dropped}
        assert all(tokens > limit - 354 - 2 * turn for tokens in dropped_to.values())
        total = sum(turns) * ratio
        assert len(dropped_to) <= max(0.0, total - limit) / (177 - min(turn, 100)) + 1

    def test_leaves_out_no_more_where_less_than_a_step_is_left(self) -> None:
        assert stepped([0, 1, 2], [900, 50, 0], least=1, tokens=12, window=WINDOW) == 1

    def test_takes_only_places_between_turns_that_may_be_parted(self) -> None:
        sizes = [4000 - 1000 * n for n in range(5)]
        assert stepped([0, 1, 3, 4], sizes, least=2, tokens=500, window=WINDOW) == 3
