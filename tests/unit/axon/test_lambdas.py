import asyncio

import pytest

from axon.lambdas import run, trace_header


async def own_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def failing() -> None:
    raise ValueError("no")


def test_run_uses_one_loop_for_every_invocation() -> None:
    assert run(own_loop()) is run(own_loop())


def test_run_raises_what_the_coroutine_raises() -> None:
    with pytest.raises(ValueError, match="no"):
        run(failing())


def test_trace_header_is_that_of_the_current_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    assert trace_header() is None
    for header in ("Root=1-1-1;Sampled=1", "Root=1-2-2;Sampled=0"):
        monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
        assert trace_header() == header
