from axon.event_log.log import LoggedEvent
from axon.serialization import dumps, loads
from tests.support.sdk_events import validate_stream
from tests.unit.front.front_harness import FrontHarness


def parsed(text: bytes) -> list[LoggedEvent]:
    """Return the events of a stream, whose form is checked."""
    events = []
    for block in text.decode().removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(LoggedEvent(event["sequence_number"], dumps(event)))
    return events


async def test_responses_create_answers_with_the_ended_response(harness: FrontHarness) -> None:
    import asyncio

    asking = asyncio.create_task(harness.post(metadata={"a": "b"}))
    await harness.responses.answer(await harness.submitted(), "Hel", "lo")
    async with await asking as answer:
        assert answer.status == 200
        response = await answer.json()
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["text"] == "Hello"
    assert response["metadata"] == {"a": "b"}


async def test_responses_create_streams_the_events_of_the_log(harness: FrontHarness) -> None:
    answer, response_id = await harness.stream()
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    await harness.responses.answer(response_id, "Hel", "lo")
    validate_stream(parsed(await answer.read()))
