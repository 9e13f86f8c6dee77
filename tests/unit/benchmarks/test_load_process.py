import asyncio
import os

import pytest

from benchmarks.load_process import LoadError, read_result


def reader(*lines: bytes) -> asyncio.StreamReader:
    stream = asyncio.StreamReader()
    stream.feed_data(b"".join(line + b"\n" for line in lines))
    stream.feed_eof()
    return stream


async def test_load_process_returns_the_result_with_the_windows_cpu() -> None:
    lines = reader(b"INFO loading", b"window", b"a warning", b"end", b'{"answers": 3}')
    borders: list[str] = []
    result, cpu_s = await read_result(
        lines, {os.getpid(): "own"}, border=lambda: borders.append("border")
    )
    assert len(borders) == 2
    assert result == {"answers": 3}
    assert cpu_s["own"] >= 0


async def test_load_process_returns_no_cpu_without_a_whole_window() -> None:
    assert await read_result(reader(b"end", b"{}"), {os.getpid(): "own"}) == ({}, {})


async def test_load_process_that_ends_without_a_result_is_an_error() -> None:
    with pytest.raises(LoadError, match="without a result"):
        await read_result(reader(b"window", b"end"), {})
