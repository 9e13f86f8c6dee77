"""Calls that an upstream has parsed come out of the text as it gave them."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.worker.engines.openai.stream_samples import REQUEST, STOP, delta, stream_of
from tests.unit.worker.engines.openai.transport_stub import MODEL, Reply, stubbed
from worker.engines.openai.engine import OpenAiEngine
from worker.engines.protocol import (
    ChatMessage,
    GenerateRequest,
    TokenChunk,
    ToolSpec,
    UnusableAnswerError,
)
from worker.parsers.answer import MarkedAnswer
from worker.parsers.families import CALL_FORMATS
from worker.parsers.pieces import Arguments, CallBegun, Text

TOOL = ToolSpec("f", "does it", {"type": "object", "properties": {}}, strict=True)
ENDED: dict[str, Any] = {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}


def part(name: str | None = None, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    call = {"function": {"name": name, "arguments": arguments}, **fields}
    return {"choices": [{"delta": {"tool_calls": [call]}}]}


async def asked(engine: OpenAiEngine) -> GenerateRequest:
    prompt = await engine.assemble(MODEL, [ChatMessage("user", "hi")], tools=[TOOL])
    return replace(REQUEST, prompt=prompt)


async def chunks_of(engine: OpenAiEngine, request: GenerateRequest) -> list[TokenChunk]:
    return [chunk async for chunk in engine.generate(request)]


def read(chunks: list[TokenChunk]) -> tuple[str, list[tuple[str, str]]]:
    """Return the text of an answer, and its calls with their arguments."""
    parser = MarkedAnswer(calls=CALL_FORMATS["hermes"]({}), reasoning=None)
    pieces = [piece for chunk in chunks for piece in parser.feed(chunk.text)] + parser.end()
    text, calls = "", list[tuple[str, str]]()
    for piece in pieces:
        match piece:
            case Text(more):
                text += more
            case CallBegun(name):
                calls.append((name, ""))
            case Arguments(more):
                calls[-1] = calls[-1][0], calls[-1][1] + more
    return text, calls


async def test_openai_engine_passes_tools_on() -> None:
    async with stubbed() as (engine, upstream):
        upstream.replies = [stream_of(delta("hello"), STOP)]
        await chunks_of(engine, await asked(engine))
        plain = await engine.assemble(MODEL, [ChatMessage("user", "hi")])
        more = await engine.assemble(MODEL, [ChatMessage("user", "hi")], tools=[TOOL])
    function = {"name": "f", "description": "does it", "parameters": TOOL.parameters}
    assert upstream.bodies[0]["tools"] == [
        {"type": "function", "function": function | {"strict": True}}
    ]
    assert "tools" not in plain.text
    assert len(more.token_ids) > len(plain.token_ids)
    assert engine.info().models[0].call_format == "hermes"


@pytest.mark.parametrize(
    ("events", "calls"),
    [
        ([part("f", "", index=0), part(None, '{"a"', index=0), part(None, ': "é"}', index=0)],
         [("f", '{"a": "é"}')]),
        ([part("f", "{}", index=0), part("g", "[", index=1), part(None, "1]", index=1)],
         [("f", "{}"), ("g", "[1]")]),
        ([part("f", '{"a": 1}'), part("f", '{"a": 2}')],
         [("f", '{"a": 1}'), ("f", '{"a": 2}')]),
        ([part("f", {"a": 1}, index=0)], [("f", '{"a":1}')]),
        ([part("f", None, index=0)], [("f", "{}")]),
        ([part("f", '{"a": "</tool_call>}', index=0)], [("f", '{"a": "</tool_call>}')]),
        ([part("f", '{"long": "' + "w " * 400 + '"}', index=0)],
         [("f", '{"long": "' + "w " * 400 + '"}')]),
    ],
    ids=["parts", "two", "no-index", "object", "none", "broken", "long"],
)  # fmt: skip
@pytest.mark.parametrize("end", [[ENDED], [STOP], []], ids=["tool_calls", "stop", "no-reason"])
async def test_openai_engine_gives_the_calls_of_an_answer(
    events: list[dict[str, Any]], calls: list[tuple[str, str]], end: list[dict[str, Any]]
) -> None:
    async with stubbed() as (engine, upstream):
        upstream.replies = [stream_of(delta("Let me see."), *events, *end)]
        chunks = await chunks_of(engine, await asked(engine))
    assert read(chunks) == ("Let me see.", calls)
    assert chunks[-1].finish_reason == "stop"
    assert len(upstream.bodies) == 1


def cut(*events: object) -> Reply:
    reply = stream_of(*events)
    return Reply(list(reply.pieces)[:-1], end="cut")


async def test_openai_engine_asks_again_for_a_call_that_broke_off() -> None:
    first = part("f", '{"a": ', index=0)
    async with stubbed() as (engine, upstream):
        upstream.replies = [
            cut(delta("So. "), first),
            stream_of(part("f", '{"a": 1}', index=0), ENDED),
        ]
        chunks = await chunks_of(engine, await asked(engine))
    assert read(chunks) == ("So. ".strip(), [("f", '{"a": 1}')])
    assert upstream.bodies[1]["messages"][-1] == {"role": "assistant", "content": "So. "}
    assert upstream.bodies[1]["tools"] == upstream.bodies[0]["tools"]


async def test_openai_engine_ends_an_answer_that_broke_off_behind_a_call() -> None:
    async with stubbed() as (engine, upstream):
        upstream.replies = [cut(part("f", "{}", index=0), part("g", '{"a', index=1))]
        request = await asked(engine)
        chunks = await chunks_of(engine, request)
        known = tuple(i for chunk in chunks for i in chunk.token_ids)
        again = await chunks_of(engine, replace(request, generated_token_ids=known))
    assert read(chunks) == ("", [("f", "{}")])
    assert again == [TokenChunk("", (), "stop")]
    assert len(upstream.bodies) == 1


@pytest.mark.parametrize(
    "calls",
    ["f", [1], [{"function": "f"}], [{"function": {"name": 1}}],
     [{"function": {"arguments": "{}"}}]],
    ids=["text", "number", "function", "name", "no-name"],
)  # fmt: skip
async def test_openai_engine_refuses_calls_of_another_shape(calls: Any) -> None:
    async with stubbed() as (engine, upstream):
        upstream.replies = [stream_of({"choices": [{"delta": {"tool_calls": calls}}]}, STOP)]
        with pytest.raises(UnusableAnswerError, match="tool_calls"):
            await chunks_of(engine, await asked(engine))
