import pytest

from benchmarks.affinity.prompts import instructions, question


def test_prompts_are_the_same_in_every_leg() -> None:
    assert instructions(3, words=100) == instructions(3, words=100)
    assert question(3, 1) == question(3, 1)


def test_prompts_of_two_conversations_share_only_their_first_words() -> None:
    texts = [instructions(number, words=480) for number in range(40)]
    assert len({text[:20] for text in texts}) == 40
    assert all(len(text.split()) == pytest.approx(480, abs=8) for text in texts)


def test_prompts_repeat_no_question_in_a_conversation() -> None:
    assert len({question(3, turn) for turn in range(10)}) == 10
