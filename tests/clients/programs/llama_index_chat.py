"""LlamaIndex: `OpenAILike`, and a chat engine that keeps the conversation."""

from collections.abc import Iterator

from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.llms.openai_like import OpenAILike
from turns import API_KEY, BASE_URL, MODEL, run

model = OpenAILike(
    model=MODEL, api_base=BASE_URL, api_key=API_KEY, is_chat_model=True, context_window=8192
)
engine = SimpleChatEngine.from_defaults(llm=model)


def ask(question: str) -> Iterator[str]:
    yield from engine.stream_chat(question).response_gen


run(ask)
