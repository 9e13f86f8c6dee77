import time

import pytest

from axon.clock import now_ms


def test_now_is_in_milliseconds() -> None:
    assert now_ms() == pytest.approx(time.time() * 1000, abs=1000)
