import pytest

from worker.engines.protocol import EngineError
from worker.engines.vllm.decoding import RegeneratedPrefix


def test_regenerated_prefix_is_skipped_wherever_it_is_cut() -> None:
    repeated = RegeneratedPrefix((1, 2, 3))
    assert list(repeated.skip((1, 2))) == []
    assert list(repeated.skip((3, 4))) == [4]
    assert list(repeated.skip((1, 2))) == [1, 2]


def test_regenerated_prefix_that_differs_is_an_error() -> None:
    repeated = RegeneratedPrefix((1, 2, 3))
    repeated.skip((1,))
    with pytest.raises(EngineError, match="cannot be generated again"):
        repeated.skip((2, 4))
