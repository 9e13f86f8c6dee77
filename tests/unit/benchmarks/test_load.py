import asyncio
import json
import sys
from dataclasses import asdict

from benchmarks.load import run_load
from benchmarks.model import Load, LoadResult, Pace
from tests.unit.benchmarks.mock_engine_harness import engine


def load(
    url: str, *, kind: str = "chat", clients: int = 4, tokens: int = 8, cap_s: float = 20
) -> Load:
    return Load(
        kind=kind, url=url, model="mock", clients=clients, tokens=tokens, seconds=0.2, cap_s=cap_s
    )


async def test_load_measures_whole_rounds() -> None:
    said: list[str] = []
    async with engine(Pace(ttft_ms=5, token_ms=2)) as url:
        result = await run_load(load(url), said.append)
    assert said == ["window", "end"]
    assert result.failures == []
    assert result.finished >= 4
    assert result.finished % 4 == 0
    assert result.window_s >= 0.2
    assert result.ttft_p99_ms >= result.ttft_p50_ms >= 3
    assert result.frames_per_answer == 8 + 3
    assert result.client_cpu_s > 0


async def test_load_fails_without_a_server() -> None:
    said: list[str] = []
    async with engine(Pace(ttft_ms=0, token_ms=0)) as url:
        pass
    result = await run_load(load(url), said.append)
    assert said == ["end"]
    assert result.finished == 0
    assert result.failures


async def test_load_fails_if_answers_never_end() -> None:
    async with engine(Pace(ttft_ms=3_600_000, token_ms=0)) as url:
        result = await run_load(load(url, cap_s=0.1), lambda _: None)
    assert result.capped
    assert result.failures == ["TimeoutError: 4 answers did not end in 0.2 s"]


async def test_load_fails_after_a_wrong_answer() -> None:
    async with engine(Pace(ttft_ms=0, token_ms=0)) as url:
        result = await run_load(load(url, tokens=-1), lambda _: None)
    assert result.failures[0] == "WrongAnswerError: expected '', got 'count to -1'"
    async with engine(Pace(ttft_ms=0, token_ms=0)) as url:
        refused = await run_load(load(url.replace("http", "ws"), kind="websocket"), print)
    assert "handshake refused" in refused.failures[0]


async def test_load_process_writes_lines() -> None:
    async with engine(Pace(ttft_ms=0, token_ms=0)) as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.load",
            json.dumps(asdict(load(url, clients=2))),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    *marks, last = output.splitlines()
    assert marks == [b"window", b"end"]
    assert LoadResult(**json.loads(last)).finished > 0
    assert process.returncode == 0
