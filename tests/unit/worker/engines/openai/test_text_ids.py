import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.openai.text_ids import ids_of, text_of
from worker.engines.protocol import EngineError


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]))))
def test_text_ids_can_be_decoded(pieces: list[str]) -> None:
    assert text_of(i for piece in pieces for i in ids_of(piece)) == "".join(pieces)


def test_text_ids_are_one_for_a_piece_unless_it_is_long() -> None:
    assert len(ids_of("\x00 word")) == 1
    assert len(ids_of("é" * 1000)) == 4
    assert ids_of("") == ()


def test_text_ids_survive_the_log() -> None:
    ids = ids_of("😀" * 2000)
    logged = ",".join(map(str, ids))
    assert text_of(map(int, logged.split(","))) == "😀" * 2000


@pytest.mark.parametrize("token_id", [0, 1, 17, 255, 2**20])
def test_text_ids_of_another_engine_are_refused(token_id: int) -> None:
    with pytest.raises(EngineError, match="another engine"):
        text_of([token_id])
