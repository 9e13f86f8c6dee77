"""SDKs and frameworks: a conversation of two streamed turns with each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import pytest

from tests.clients.client_harness import ClientHarness, check_turns

pytestmark = pytest.mark.timeout(120)

Case = tuple[str, str, Mapping[str, str]]
PYTHON: Sequence[Case] = (
    *(
        (version, program, {})
        for version in ("openai", "openai-2.54")
        for program in ("openai_responses", "openai_helper", "openai_chat")
    ),
    ("anthropic", "anthropic_messages", {}),
    ("openai-agents", "openai_agents", {"AXON_TRANSPORT": "http"}),
    *(
        ("pydantic-ai", "pydantic_ai_agent", {"AXON_API": api})
        for api in ("responses", "chat", "anthropic")
    ),
    *(("langchain", "langchain_chat", {"AXON_API": api}) for api in ("responses", "chat")),
    *(
        ("litellm", "litellm_client", {"AXON_API": api})
        for api in ("responses", "chat", "anthropic")
    ),
    ("llama-index", "llama_index_chat", {}),
)
NODE: Sequence[Case] = (
    ("openai", "openai_responses", {}),
    ("openai", "openai_chat", {}),
    *(
        ("vercel-ai", "vercel_ai", {"AXON_API": api})
        for api in ("responses", "unstored", "chat", "compatible", "anthropic")
    ),
)
WEBSOCKET: Sequence[Case] = (
    ("openai", "openai_websocket", {}),
    ("openai-2.54", "openai_websocket", {}),
    ("openai-agents", "openai_agents", {"AXON_TRANSPORT": "websocket"}),
)


def named(cases: Iterable[Case]) -> list[str]:
    """Return each case's name in the test's id."""
    return [
        "-".join((package, program, *variables.values())) for package, program, variables in cases
    ]


@pytest.mark.parametrize(("package", "program", "variables"), PYTHON, ids=named(PYTHON))
def test_python_client_streams_a_conversation(
    clients: ClientHarness, package: str, program: str, variables: Mapping[str, str]
) -> None:
    check_turns(clients.python(package, program, variables))


@pytest.mark.parametrize(("package", "program", "variables"), NODE, ids=named(NODE))
def test_node_client_streams_a_conversation(
    clients: ClientHarness, package: str, program: str, variables: Mapping[str, str]
) -> None:
    check_turns(clients.node(package, program, variables))


@pytest.mark.parametrize("address", ["base_url", "front_url"])
@pytest.mark.parametrize(("package", "program", "variables"), WEBSOCKET, ids=named(WEBSOCKET))
def test_python_client_streams_a_conversation_over_a_websocket(
    clients: ClientHarness,
    package: str,
    program: str,
    variables: Mapping[str, str],
    address: Literal["base_url", "front_url"],
) -> None:
    check_turns(replace(clients, address=address).python(package, program, variables))


@pytest.mark.parametrize("address", ["base_url", "front_url"])
def test_node_client_streams_a_conversation_over_a_websocket(
    clients: ClientHarness, address: Literal["base_url", "front_url"]
) -> None:
    check_turns(replace(clients, address=address).node("openai", "openai_websocket", {}))
