"""Ends of answers that have reasoning and calls: limits, stop strings, sizes, silence."""

import asyncio
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import pytest

from axon.event_log.log import Status
from axon.exceptions import FencedError
from axon.jobs import Job
from axon.protocol.outlines import RemadeEvents
from axon.protocol.sizes import MESSAGE_BYTES
from axon.serialization import dumps, loads
from tests.support.virtual_time import run
from tests.unit.axon.samples import a_job
from tests.unit.worker.attempt.attempt_harness import DEAD, AttemptHarness, attempt
from tests.unit.worker.attempt.item_output_harness import ItemHarness, MemoryLog, shown
from tests.unit.worker.parsers.answer_corpus import TOOLS, corpus
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.engines.protocol import EngineDeadError, EngineError, FinishReason
from worker.parsers.answer_format import AnswerFormat

HERMES = AnswerFormat(calls="hermes", reasoning="think")
CALL = '<tool_call>{"name": "now", "arguments": {"a": 1}}</tool_call>'


async def answered(
    tokens: Sequence[str],
    *,
    job: Job | None = None,
    finish: FinishReason = "stop",
    stop: Sequence[str] = (),
    size: int = 1,
) -> tuple[MemoryLog, FinishReason]:
    """Return the log of an answer, and the reason for its end, which each later attempt finds."""
    job = job or a_job(tools=TOOLS)
    harness = ItemHarness(job, HERMES, tokens, finish=finish, stop=stop)
    whole = harness.log()
    await harness.run(whole, repeat(size))
    end = loads(next(r.data for r in reversed(whole.journal) if r.kind == "generated"))
    for border in whole.borders:
        log = whole.cut(border, with_lost_records=False)
        await harness.run(log, repeat(size))
        assert log.events == whole.events
    return whole, end["reason"]


def kinds(log: MemoryLog) -> list[tuple[str, str]]:
    return [(item["type"], item["status"]) for item in shown(log)]


@pytest.mark.parametrize(
    ("fields", "calls"),
    [({}, 3), ({"parallel_tool_calls": False}, 1), ({"max_tool_calls": 2}, 2)],
)
async def test_answer_ends_with_the_last_call_that_it_may_have(
    fields: dict[str, Any], calls: int
) -> None:
    tokens = ["Now. ", *CALL, "\n", *CALL, *CALL, " never"]
    log, reason = await answered(tokens, job=a_job(tools=TOOLS, **fields))
    texts = 2 if calls == 3 else 1
    assert [item["type"] for item in shown(log)].count("function_call") == calls
    assert [item["type"] for item in shown(log)].count("message") == texts
    assert reason == "stop"
    ids = [token for event in log.events for token in event.token_ids]
    assert (len(ids) < len(tokens)) is (calls < 3)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("<think>Hm", [("reasoning", "incomplete")]),
        ("<think>Hm</think>So", [("reasoning", "completed"), ("message", "incomplete")]),
        (CALL[:-20], [("function_call", "incomplete")]),
        (CALL, [("function_call", "completed")]),
        ("", [("message", "incomplete")]),
    ],
)
async def test_answer_that_reaches_its_limit_has_an_incomplete_item(
    text: str, items: list[tuple[str, str]]
) -> None:
    log, reason = await answered(list(text), finish="length")
    assert kinds(log) == items
    assert reason == "length"


async def test_answer_of_reasoning_alone_has_an_empty_message() -> None:
    log, _ = await answered(["<think>", "Hm"])
    assert kinds(log) == [("reasoning", "completed"), ("message", "completed")]


@pytest.mark.parametrize(
    ("text", "stop", "said"),
    [
        ("<think>a END b</think>c END d", ["END"], "c "),
        ("c EN" + CALL + "D END", ["END"], "c EN"),
        ("<think>a</think>END", ["END"], ""),
        ("one two three", ["two t", "three"], "one "),
    ],
)
async def test_stop_strings_end_the_text_alone(text: str, stop: list[str], said: str) -> None:
    for size in (1, 3, 100):
        log, reason = await answered(list(text), stop=stop, size=size)
        assert reason == "stop"
        messages = [item for item in shown(log) if item["type"] == "message"]
        assert messages[0]["content"][0]["text"] == said
        assert messages[-1]["stop_sequence"] in stop


async def test_reasoning_tokens_are_those_that_begin_before_its_end() -> None:
    tokens = ["<think>", "\n", "a", " b", "</", "think", ">\n", "\nc", " d"]
    harness = ItemHarness(a_job(tools=TOOLS), HERMES, tokens)
    for size in range(1, 10):
        log = harness.log()
        output = await harness.run(log, repeat(size))
        assert output.usage is not None
        assert (output.usage.output_tokens, output.usage.reasoning_tokens) == (9, 7)
        for border in log.borders:
            again = await harness.run(log.cut(border, with_lost_records=False), repeat(size))
            recorded = again.usage or output.usage
            assert recorded.reasoning_tokens == 7


@pytest.mark.parametrize("opening", ["<think>", '<tool_call>{"name": "now", "arguments": {"x": "'])
async def test_answer_ends_before_it_outgrows_a_message(opening: str) -> None:
    words = ['wörd \\"quoted\\" \\n' * 1_000] * 12
    job = a_job(tools=TOOLS, instructions="i" * 50_000)
    harness = ItemHarness(job, HERMES, [opening, *words])
    log = harness.log()
    await harness.run(log, repeat(1))
    transcript = job.transcript()
    transcript.replay(log.events)
    end = transcript.end(Status.INCOMPLETE, reason="max_output_tokens")
    assert len(end.data) <= MESSAGE_BYTES
    assert len(end.data) > MESSAGE_BYTES - 3_000
    assert kinds(log)[0][1] == "incomplete"


async def test_answer_of_many_calls_ends_before_it_outgrows_a_message() -> None:
    job = a_job(tools=TOOLS)
    harness = ItemHarness(job, HERMES, [CALL] * 1_000)
    log = harness.log()
    await harness.run(log, repeat(10))
    transcript = job.transcript()
    transcript.replay(log.events)
    end = transcript.end(Status.INCOMPLETE, reason="max_output_tokens")
    assert MESSAGE_BYTES - 4_000 < len(end.data) <= MESSAGE_BYTES


CUSTOM: list[dict[str, Any]] = [
    {"type": "custom", "name": "patch"},
    {"type": "namespace", "name": "crm", "tools": [{**TOOLS[1], "strict": True}]},
]


async def test_calls_of_custom_tools_and_namespaces_have_their_own_names() -> None:
    raw = (
        '<tool_call>{"name": "patch", "arguments": {"input": "a\\n\\"b\\" \\u00fc"}}</tool_call>'
        '<tool_call>{"name": "crm__search", "arguments": {"q": "x"}}</tool_call>'
    )
    for size in (1, 5, 1_000):
        log, _ = await answered(list(raw), job=a_job(tools=CUSTOM), size=size)
        custom, function = shown(log)
        assert (custom["type"], custom["name"]) == ("custom_tool_call", "patch")
        assert (custom["input"], custom["status"]) == ('a\n"b" \u00fc', "completed")
        assert (function["type"], function["name"]) == ("function_call", "search")
        assert (function["namespace"], function["arguments"]) == ("crm", '{"q": "x"}')


@pytest.mark.parametrize(
    ("arguments", "shown_input", "status"),
    [
        ('{"input": "half', "half", "incomplete"),
        ('{"text": "half', '{"text": "half', "incomplete"),
        ('{"text": "other"}', '{"text": "other"}', "completed"),
        ("[" * 20_000, "[" * 20_000, "incomplete"),
    ],
)
async def test_custom_call_is_incomplete_if_its_arguments_are_cut(
    arguments: str, shown_input: str, status: str
) -> None:
    raw = f'<tool_call>{{"name": "patch", "arguments": {arguments}'
    harness = ItemHarness(a_job(tools=CUSTOM), HERMES, [raw[:40], raw[40:]])
    log = harness.log()
    await harness.run(log, repeat(1))
    (item,) = shown(log)
    assert (item["input"], item["status"]) == (shown_input, status)


async def test_log_with_other_items_is_not_continued() -> None:
    harness = ItemHarness(a_job(tools=TOOLS), HERMES, ["a", CALL])
    log = harness.log()
    await harness.run(log, repeat(2))
    log.events[2] = type(log.events[2])(2, log.events[2].data.replace(b"message", b"reasoning"))
    other = MemoryLog(log.events[:3], log.journal[:2])
    with pytest.raises(EngineError, match="cannot be continued"):
        await harness.run(other, repeat(2))


def test_answer_that_shows_nothing_for_long_does_not_stand_still() -> None:
    run(_held())


async def _held() -> None:
    harness = AttemptHarness()
    context = harness.context(ScriptedEngine())
    tokens = ['<tool_call>{"arguments": "', *["x"] * 40]  # without a name, nothing is a call
    items = ItemHarness(a_job(tools=TOOLS), HERMES, tokens, context=context)
    items.pause_s = 4.0
    log = items.log()
    await items.run(log, repeat(1))
    held = [record.kind for record in log.journal].count("held")
    assert held == 10


async def test_events_of_reasoning_and_calls_are_made_again() -> None:
    for answer in list(corpus())[9::20]:
        job = a_job(tools=TOOLS)
        harness = ItemHarness(job, answer.form, answer.tokens)
        log = harness.log()
        await harness.run(log, repeat(7))
        transcript = job.transcript()
        transcript.replay(log.events)
        events = [*log.events, transcript.end(Status.COMPLETED)]
        outline = transcript.outline.stored_with(job)
        response = loads(dumps(transcript.response))
        remade = RemadeEvents(response, loads(dumps(outline)), last=len(events) - 1)
        assert [event.data for event in remade.since(0)] == [event.data for event in events]


@pytest.mark.parametrize("died_after", [0, 3, 9, 20, 30])
async def test_attempt_answers_by_items_and_continues_them(
    harness: AttemptHarness, died_after: int
) -> None:
    job = await harness.job(tools=TOOLS)
    tokens = ["<think>", "Hm", "</think>", *"It is ", *CALL]
    engine = ScriptedEngine(
        tokens, failures=[(died_after, DEAD)], call_format="hermes", reasoning_format="think"
    )
    with pytest.raises(EngineDeadError):
        await attempt(job, harness.context(engine))
    assert await attempt(job, harness.context(engine)) is Status.COMPLETED
    log = await harness.valkey.read(job.response_id)
    output = loads(log[-1].data)["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call"]
    assert output[2]["arguments"] == '{"a": 1}'
    usage = loads(log[-1].data)["response"]["usage"]
    assert usage["output_tokens"] == len(tokens)
    assert usage["output_tokens_details"]["reasoning_tokens"] == 3
    assert all(request.parsed and request.sampling.stop == () for request in engine.requests)
    stored = harness.history.records[job.response_id].response
    assert stored["output"] == output


@pytest.mark.parametrize(("passed", "reasoning"), [(3, 3), (5, 4)])
async def test_terminator_tells_the_reasoning_tokens_of_an_answer_that_it_ends(
    harness: AttemptHarness, passed: int, reasoning: int
) -> None:
    job = await harness.job(input="one two three")
    engine = ScriptedEngine(
        ["<think>", "Hm", " so", "</think>", "It", " is"], reasoning_format="think"
    )
    engine.pass_(passed)
    running = asyncio.create_task(attempt(job, harness.context(engine), untouched=True))
    async with asyncio.timeout(5):
        while await _logged_tokens(harness, job) < passed:
            await asyncio.sleep(0)
    await harness.terminator.end(job.response_id, Status.CANCELLED)
    engine.pass_(4)
    with pytest.raises(FencedError):
        await running
    usage = loads((await harness.valkey.read(job.response_id))[-1].data)["response"]["usage"]
    assert usage["output_tokens"] == passed
    assert usage["output_tokens_details"]["reasoning_tokens"] == reasoning


async def _logged_tokens(harness: AttemptHarness, job: Job) -> int:
    return sum(len(event.token_ids) for event in await harness.valkey.read(job.response_id))


@pytest.mark.parametrize("fields", [{}, {"tools": TOOLS, "tool_choice": "none"}])
async def test_attempt_takes_calls_for_text_where_no_tool_may_be_called(
    harness: AttemptHarness, fields: dict[str, Any]
) -> None:
    job = await harness.job(**fields)
    engine = ScriptedEngine([CALL], call_format="hermes")
    await attempt(job, harness.context(engine))
    output = (await harness.answered(job))[-1]["response"]["output"]
    assert output[0]["content"][0]["text"] == CALL
    assert not engine.requests[0].parsed
