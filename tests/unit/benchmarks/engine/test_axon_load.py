from typing import Any

import pytest

from benchmarks.engine.axon_load import run
from benchmarks.engine.model import Work
from benchmarks.model import Pace
from tests.unit.benchmarks.engine.axon_harness import answer, axon
from tests.unit.benchmarks.mock_engine_harness import engine

WORK = Work(clients=2, questions=3, tokens=5, first=7)


@pytest.mark.parametrize("last", ["response.completed", "response.incomplete"])
async def test_axon_load_does_the_whole_work(last: str) -> None:
    said: list[str] = []
    async with axon(answer("a", " b", text="a b", last=last)) as (url, asked):
        seen = await run(WORK, url=url, model="m", announce=said.append)
    assert seen.failures == []
    assert seen.tokens == 30
    assert len(seen.first_tokens_ms) == 6
    assert said == ["window", "end"]
    prompts = [*WORK.prompts(0), *WORK.prompts(1)]
    assert sorted(request["input"] for request in asked) == sorted(prompts)
    assert {(r["type"], r["model"], r["max_output_tokens"]) for r in asked} == {
        ("response.create", "m", 5)
    }


async def test_axon_load_does_the_work_over_server_sent_events() -> None:
    async with engine(Pace(ttft_ms=0, token_ms=0), path="/v1/responses") as url:
        seen = await run(WORK, url=url, model="m", announce=lambda _: None)
    assert seen.failures == []
    # The mock answers with the prompt, a token a word.
    assert seen.tokens == sum(len(p.split()) for p in [*WORK.prompts(0), *WORK.prompts(1)])
    assert len(seen.first_tokens_ms) == 6


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (answer("a", text="a b", last="response.completed"), "not the text"),
        (answer(text="", last="response.completed"), "not the text"),
        (answer("a", text="a", last="response.failed"), "ended as"),
    ],
)
async def test_axon_load_reports_a_wrong_answer(events: list[dict[str, Any]], message: str) -> None:
    async with axon(events) as (url, _):
        seen = await run(WORK, url=url, model="m", announce=lambda _: None)
    assert len(seen.failures) == 2
    assert message in seen.failures[0]
