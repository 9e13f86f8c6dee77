import asyncio

import pytest

from axon.lambdas import run


async def own_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def failing() -> None:
    raise ValueError("no")


def test_every_invocation_runs_on_one_loop() -> None:
    assert run(own_loop()) is run(own_loop())


def test_errors_come_out() -> None:
    with pytest.raises(ValueError, match="no"):
        run(failing())
