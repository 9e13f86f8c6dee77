"""OpenAI's Agents SDK; AXON_TRANSPORT is `http` or `websocket`."""

import os
from collections.abc import AsyncIterator

from agents import (
    Agent,
    Runner,
    function_tool,
    set_default_openai_responses_transport,
    set_tracing_disabled,
)
from turns import MODEL, run_async

set_tracing_disabled(True)
set_default_openai_responses_transport(os.environ["AXON_TRANSPORT"])


@function_tool
def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


agent = Agent(name="host", instructions="Answer briefly.", model=MODEL, tools=[weather])
items = []


async def ask(question: str) -> AsyncIterator[str]:
    items.append({"role": "user", "content": question})
    result = Runner.run_streamed(agent, items)
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            yield event.data.delta
    items[:] = result.to_input_list()


run_async(ask)
