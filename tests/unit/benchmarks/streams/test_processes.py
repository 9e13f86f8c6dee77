import resource

import pytest

from benchmarks.load_process import LoadError
from benchmarks.model import BenchmarkError
from benchmarks.streams.processes import allow_files, open_processes


async def test_load_processes_end_with_a_clear_error_when_one_has_no_result() -> None:
    async with open_processes("load", 1) as (process,):
        process.send({"no": "load"})
        with pytest.raises(LoadError, match="ended without a result"):
            await process.result(within_s=20)


def test_allow_files_raises_the_soft_limit_and_names_a_hard_one_that_is_too_low(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))
    allow_files(100)
    allow_files(1000)
    assert limits == [(1500, 4096)]
    with pytest.raises(BenchmarkError, match="the hard limit is 4096"):
        allow_files(4000)
