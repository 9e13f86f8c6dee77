"""Each client's program asks what its arguments say, and prints each answer's pieces as JSON."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator

MODEL = os.environ["AXON_MODEL"]
BASE_URL = os.environ["OPENAI_BASE_URL"]
API_KEY = os.environ["OPENAI_API_KEY"]


def run(ask: Callable[[str], Iterator[str]]) -> None:
    """Ask one question after the other."""
    for question in sys.argv[1:]:
        print(json.dumps(list(ask(question))), flush=True)


def run_async(ask: Callable[[str], AsyncIterator[str]]) -> None:
    """Ask one question after the other, in one event loop."""

    async def ask_all() -> None:
        for question in sys.argv[1:]:
            print(json.dumps([piece async for piece in ask(question)]), flush=True)

    asyncio.run(ask_all())
