import pytest

from infra.cost.assumptions import Assumptions


def test_assumptions_take_the_number_of_deltas_from_the_flush_policy() -> None:
    # At 0, 38 and 76 ms; the next would come at 114 ms.
    assert Assumptions(seconds=0.1, tokens=1000).deltas == 3


def test_assumptions_space_later_deltas_by_a_fifth_of_a_second() -> None:
    longer, long = Assumptions(seconds=21, tokens=1e6), Assumptions(seconds=11, tokens=1e6)
    assert longer.deltas - long.deltas == 50


def test_assumptions_have_at_most_one_delta_a_token() -> None:
    assert Assumptions(seconds=10, tokens=2).deltas == 2


def test_assumptions_have_a_post_for_each_event() -> None:
    # created, in_progress, item and part added; 3 deltas; text, part and item done, completed.
    assert Assumptions(seconds=0.1, tokens=1000).posts == 11


@pytest.mark.parametrize(
    ("request_bytes", "tokens", "messages"),
    [
        (2000, 100, 1 + 4 + 3 + 4),
        (32 * 1024 + 1, 100, 2 + 4 + 3 + 4),
        # 400 + 5 x 10,000 bytes: each of the four events that repeat the text counts twice.
        (2000, 10_000, 1 + 4 + 3 + 8),
    ],
)
def test_assumptions_count_a_message_for_every_32_kb(
    request_bytes: float, tokens: float, messages: int
) -> None:
    assumed = Assumptions(seconds=0.1, request_bytes=request_bytes, tokens=tokens)
    assert assumed.messages == messages
