"""Pydantic AI; AXON_API is `chat`, `responses` or `anthropic`."""

import os
from collections.abc import AsyncIterator

from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from turns import MODEL, run_async

MODELS = {
    "chat": OpenAIChatModel,
    "responses": OpenAIResponsesModel,
    "anthropic": AnthropicModel,
}
agent = Agent(MODELS[os.environ["AXON_API"]](MODEL), instructions="Answer briefly.")
history = []


@agent.tool_plain
def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


async def ask(question: str) -> AsyncIterator[str]:
    async with agent.run_stream(question, message_history=history) as result:
        async for piece in result.stream_text(delta=True, debounce_by=None):
            yield piece
        history[:] = result.all_messages()


run_async(ask)
