import time

import pytest

from axon.clock import now_ms


def test_clock_counts_milliseconds() -> None:
    assert now_ms() == pytest.approx(time.time() * 1000, abs=1000)
