from benchmarks.affinity.model import Counters
from tests.unit.benchmarks.affinity.leg_samples import leg, turn


def test_counters_since_are_those_of_the_leg() -> None:
    after = Counters(queries=100, hits=50, answers=7)
    assert after.since(Counters(queries=40, hits=20, answers=4)) == Counters(60, 30, 3)


def test_leg_repeated_tokens_are_those_of_the_turn_before() -> None:
    # Conversation 0 has 100 and 150 tokens of prompt, and 20 of answer, before its last turn.
    turns = [turn(0, 0), turn(1, 0), turn(0, 1, tokens=150), turn(0, 2, tokens=200)]
    one = leg(*turns, queries=550, hits=200)
    assert one.repeated == 120 + 170
    assert [each.number for each in one.follow_ups] == [1, 2]
    assert (one.queries, one.hits) == (550, 200)
