import pytest

from worker.engines.openai.surrogates import SurrogateJoiner


@pytest.mark.parametrize(
    ("pieces", "joined"),
    [
        (["a", "b"], ["a", "b"]),
        (["\ud83d", "\ude00"], ["", "😀"]),
        (["a\ud83d", "", "\ude00b\ud83d", "\ude00"], ["a", "", "😀b", "😀"]),
        (["\ud83d", "a"], ["", "\ufffda"]),
        (["\ude00", "a"], ["\ufffd", "a"]),
        (["\ud83d", "\ud83d", "\ude00"], ["", "\ufffd", "😀"]),
        (["é😀\ud83d"], ["é😀"]),
    ],
)
def test_surrogate_joiner_returns_whole_characters(pieces: list[str], joined: list[str]) -> None:
    joiner = SurrogateJoiner()
    assert [joiner.add(piece) for piece in pieces] == joined
