import asyncio

import pytest

from axon.lambdas import run, trace_header


async def own_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def failing() -> None:
    raise ValueError("no")


def test_every_invocation_runs_on_one_loop() -> None:
    assert run(own_loop()) is run(own_loop())


def test_errors_come_out() -> None:
    with pytest.raises(ValueError, match="no"):
        run(failing())


def test_the_trace_header_is_the_current_invocations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    assert trace_header() is None
    for header in ("Root=1-1-1;Sampled=1", "Root=1-2-2;Sampled=0"):
        monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
        assert trace_header() == header
