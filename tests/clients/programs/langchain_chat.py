"""LangChain's ChatOpenAI; AXON_API is `chat` or `responses`."""

import os
from collections.abc import Iterator

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from turns import MODEL, run

model = ChatOpenAI(
    model=MODEL, use_responses_api=os.environ["AXON_API"] == "responses", stream_usage=True
)
messages = []


def ask(question: str) -> Iterator[str]:
    messages.append(HumanMessage(question))
    answer = None
    for chunk in model.stream(messages):
        answer = chunk if answer is None else answer + chunk
        if chunk.text:
            yield chunk.text
    assert answer.usage_metadata["output_tokens"]
    messages.append(answer)


run(ask)
