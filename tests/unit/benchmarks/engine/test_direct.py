from dataclasses import asdict

import pytest

from benchmarks.engine.closed_loop import run_closed_loops
from benchmarks.engine.direct import EngineClient
from benchmarks.engine.model import Work
from worker.engines.echo.engine import EchoEngine, EchoPace

WORK = Work(clients=3, questions=2, tokens=4, first=10)
# "Story number 10. Write ..." has more words than an answer may have tokens.


async def test_direct_engine_does_all_the_work() -> None:
    engine = EchoEngine(slots=2, pace=EchoPace(ttft_s=0.02))
    await engine.start()
    said: list[str] = []
    clients = [EngineClient(engine, name=str(client)) for client in range(WORK.clients)]
    seen = await run_closed_loops(WORK, clients, said.append)
    await engine.close()
    assert said == ["window", "end"]
    assert seen.failures == []
    assert seen.tokens == WORK.answers * 4
    assert len(seen.first_tokens_ms) == WORK.answers
    assert min(seen.first_tokens_ms) >= 19
    assert seen.seconds * 1000 >= max(seen.first_tokens_ms)
    assert asdict(WORK)["clients"] == 3


async def test_direct_engine_reports_a_failure() -> None:
    engine = EchoEngine(slots=2)  # not started
    seen = await run_closed_loops(WORK, [EngineClient(engine, name="0")], lambda _: None)
    assert seen.failures == ["EngineDeadError: The engine does not run."]
    assert seen.tokens == 0


async def test_direct_engine_refuses_an_answer_without_text() -> None:
    engine = EchoEngine(slots=2)
    await engine.start()
    with pytest.raises(ValueError, match="no text"):
        await EngineClient(engine, name="0").send_prompt(" ", tokens=4)
