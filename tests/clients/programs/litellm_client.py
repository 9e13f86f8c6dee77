"""LiteLLM as a client; AXON_API is `chat`, `responses` or `anthropic`."""

import os
from collections.abc import Iterator

import litellm
from turns import API_KEY, BASE_URL, MODEL, run

litellm.telemetry = False
API = os.environ["AXON_API"]
messages = []


def ask(question: str) -> Iterator[str]:
    messages.append({"role": "user", "content": question})
    pieces = []
    for piece in respond() if API == "responses" else complete():
        pieces.append(piece)
        yield piece
    messages.append({"role": "assistant", "content": "".join(pieces)})


def complete() -> Iterator[str]:
    provider, base = ("anthropic", os.environ["ANTHROPIC_BASE_URL"])
    if API == "chat":
        provider, base = "openai", BASE_URL
    for chunk in litellm.completion(
        model=f"{provider}/{MODEL}", messages=messages, api_base=base, api_key=API_KEY, stream=True
    ):
        if text := chunk.choices[0].delta.content:
            yield text


def respond() -> Iterator[str]:
    for event in litellm.responses(
        model=f"openai/{MODEL}", input=messages, api_base=BASE_URL, api_key=API_KEY, stream=True
    ):
        if event.type == "response.output_text.delta":
            yield event.delta


run(ask)
