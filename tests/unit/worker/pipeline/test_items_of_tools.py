"""Calls of custom tools and namespaces, which the model writes as calls of functions."""

import pytest

from axon.event_log.log import LoggedEvent
from axon.protocol.objects import Json
from axon.protocol.tools import offered_tools
from axon.serialization import loads
from tests.unit.axon.samples import a_job
from worker.parsers.pieces import Arguments, CallBegun, CallEnded, Piece, Text
from worker.pipeline.items import AnswerItems

CUSTOM = {"type": "custom", "name": "patch"}
NAMESPACE = {
    "type": "namespace",
    "name": "crm",
    "tools": [{"type": "function", "name": "find"}, CUSTOM],
}
PIECES: list[Piece] = [
    Text("Now: "),
    CallBegun("patch"),
    Arguments('{"in'),
    Arguments('put": "a'),
    Arguments('\\nb"'),
    Arguments("}"),
    CallEnded(),
    CallBegun("crm__find"),
    Arguments('{"id":'),
    Arguments("1}"),
    CallEnded(),
    CallBegun("crm__patch"),
    Arguments("no JSON"),
    CallEnded(),
]
SHOWN = [
    ("message", None, None, None),
    ("custom_tool_call", "patch", None, "a\nb"),
    ("function_call", "find", "crm", '{"id":1}'),
    ("custom_tool_call", "patch", "crm", "no JSON"),
]


def shown(output: list[Json]) -> list[tuple[str | None, ...]]:
    assert {item["status"] for item in output} == {"completed"}
    return [
        (
            item["type"],
            item.get("name"),
            item.get("namespace"),
            item.get("input", item.get("arguments")),
        )
        for item in output
    ]


@pytest.mark.parametrize("cut", range(len(PIECES) + 1))
def test_calls_come_back_as_the_clients_own_tools_also_from_a_later_attempt(cut: int) -> None:
    job = a_job(tools=[CUSTOM, NAMESPACE])
    tools = offered_tools(job.response)
    transcript = job.transcript()
    log: list[LoggedEvent] = transcript.first_events()
    first = AnswerItems(transcript, tools)
    for number, piece in enumerate(PIECES[:cut]):
        log += first.add([piece], [number])
    # Ids whose pieces have made no event yet are not in the log: they are generated again.
    logged = sum(len(event.token_ids) for event in log)
    continued = job.transcript()
    continued.replay(log)
    later = AnswerItems(continued, tools)
    log += later.repeat(PIECES[:logged])
    for number, piece in enumerate(PIECES[logged:], logged):
        log += later.add([piece], [number])
    log += later.end("stop")
    assert shown(continued.response["output"]) == SHOWN
    kinds = [loads(event.data)["type"] for event in log]
    assert kinds.count("response.output_item.added") == len(SHOWN)
    assert kinds.count("response.custom_tool_call_input.done") == 2
