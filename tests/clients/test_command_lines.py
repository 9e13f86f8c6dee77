"""Command lines of other projects: a question, and another one that continues the conversation."""

import json
from dataclasses import replace

import pytest

from tests.clients import environments
from tests.clients.client_harness import ClientHarness
from tests.clients.scripted_model import ANSWER, GREETING, INTRODUCTION, MODEL, QUESTION
from tests.e2e.cloud import API_KEY

pytestmark = pytest.mark.timeout(200)

CODEX = """\
model = "{model}"
model_provider = "axon"
web_search = "disabled"
[agents]
enabled = false
[model_providers.axon]
name = "Axon"
base_url = "{base_url}"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
supports_websockets = {websockets}
"""


def test_claude_code_answers_and_continues(clients: ClientHarness) -> None:
    claude = str(environments.node("claude-code") / "node_modules/.bin/claude")
    variables = {
        "ANTHROPIC_AUTH_TOKEN": API_KEY,
        "ANTHROPIC_API_KEY": "",
        "ANTHROPIC_MODEL": MODEL,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": MODEL,
    }
    events = ("--output-format", "stream-json", "--verbose", "--include-partial-messages")
    output = clients.run(claude, "-p", INTRODUCTION, *events, variables=variables)
    said = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    deltas = [
        event["event"]["delta"]["text"]
        for event in said
        if event["type"] == "stream_event" and event["event"]["type"] == "content_block_delta"
    ]
    assert "".join(deltas) == said[-1]["result"] == GREETING
    assert len(deltas) > 1
    again = clients.run(claude, "-p", QUESTION, "--continue", variables=variables)
    assert again.strip() == ANSWER


@pytest.mark.parametrize("websockets", [False, True], ids=["http", "websocket"])
def test_codex_answers_and_continues(clients: ClientHarness, websockets: bool) -> None:
    clients = replace(clients, address="front_url" if websockets else "base_url")
    codex = str(environments.node("codex") / "node_modules/.bin/codex")
    home = clients.home / "codex"
    home.mkdir()
    (home / "config.toml").write_text(
        CODEX.format(model=MODEL, base_url=clients.base_url, websockets=str(websockets).lower())
    )
    variables = {"CODEX_HOME": str(home)}
    options = ("--skip-git-repo-check",)
    first = clients.run(codex, "exec", *options, INTRODUCTION, variables=variables)
    assert first.strip() == GREETING
    again = clients.run(codex, "exec", "resume", "--last", *options, QUESTION, variables=variables)
    assert again.strip() == ANSWER


def test_llm_answers_and_continues(clients: ClientHarness) -> None:
    llm = str(environments.python("llm") / "llm")
    settings = {
        "extra-openai-models.yaml": [
            {
                "model_id": MODEL,
                "model_name": MODEL,
                "api_base": clients.base_url,
                "api_key_name": "axon",
            }
        ],
        "keys.json": {"axon": API_KEY},
    }
    for name, value in settings.items():
        (clients.home / name).write_text(json.dumps(value))
    variables = {"LLM_USER_PATH": str(clients.home)}
    assert clients.run(llm, "-m", MODEL, INTRODUCTION, variables=variables).strip() == GREETING
    assert clients.run(llm, "-c", QUESTION, variables=variables).strip() == ANSWER


def test_aider_answers_twice_in_a_session(clients: ClientHarness) -> None:
    aider = str(environments.python("aider") / "aider")
    plain = ("--no-git", "--no-pretty", "--no-fancy-input", "--no-show-model-warnings")
    silent = ("--analytics-disable", "--no-check-update", "--no-show-release-notes")
    output = clients.run(
        aider,
        *(*plain, *silent, "--yes-always", "--chat-mode", "ask", "--model", f"openai/{MODEL}"),
        said=f"{INTRODUCTION}\n{QUESTION}\n",
        variables={"OPENAI_API_BASE": clients.base_url},
    )
    assert [line for line in output.splitlines() if line in (GREETING, ANSWER)] == [
        GREETING,
        ANSWER,
    ]
