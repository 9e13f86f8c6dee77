import asyncio
import os

import pytest

from benchmarks.follow import LoadError, follow


def reader(*lines: bytes) -> asyncio.StreamReader:
    stream = asyncio.StreamReader()
    stream.feed_data(b"".join(line + b"\n" for line in lines))
    stream.feed_eof()
    return stream


async def test_the_result_comes_with_the_windows_cpu() -> None:
    lines = reader(b"INFO loading", b"window", b"a warning", b"end", b'{"answers": 3}')
    borders: list[str] = []
    result, cpu_s = await follow(
        lines, {os.getpid(): "own"}, border=lambda: borders.append("border")
    )
    assert len(borders) == 2
    assert result == {"answers": 3}
    assert cpu_s["own"] >= 0


async def test_without_a_whole_window_there_is_no_cpu() -> None:
    assert await follow(reader(b"end", b"{}"), {os.getpid(): "own"}) == ({}, {})


async def test_an_end_without_a_result_is_told() -> None:
    with pytest.raises(LoadError, match="without a result"):
        await follow(reader(b"window", b"end"), {})
