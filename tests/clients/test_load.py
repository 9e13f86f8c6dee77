"""NVIDIA's AIPerf completes a load run over SSE; what it measured is printed (`pytest -s`).

`AXON_LOAD_REQUESTS` and `AXON_LOAD_CLIENTS` choose a longer run, as that in benchmarks/RESULTS.md.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import pytest

from tests.clients import environments
from tests.clients.client_harness import PROGRAMS, ClientHarness
from tests.e2e.cloud import API_KEY

REQUESTS = int(os.environ.get("AXON_LOAD_REQUESTS", "60"))
CLIENTS = int(os.environ.get("AXON_LOAD_CLIENTS", "8"))
TOKENS = 64
SHOWN = ("time_to_first_token", "inter_token_latency", "request_latency")

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("api", ["responses", "chat", "messages"])
def test_aiperf_completes_a_load_run(clients: ClientHarness, api: str) -> None:
    found = clients.home / "found"
    tokenizer, prompts = clients.home / "tokenizer", clients.home / "prompts.jsonl"
    python = environments.python("aiperf") / "python"
    clients.run(str(python), str(PROGRAMS / "word_tokenizer.py"), str(tokenizer))
    prompts.write_text(json.dumps({"text": f"count to {TOKENS}"}) + "\n")
    clients.run(
        *(str(python.with_name("aiperf")), "profile", "--model", "echo"),
        *("--url", clients.root_url, "--api-key", API_KEY, "--endpoint-type", api, "--streaming"),
        *("--tokenizer", str(tokenizer), "--use-server-token-count"),
        *("--input-file", str(prompts), "--custom-dataset-type", "single_turn"),
        *("--concurrency", str(CLIENTS), "--request-count", str(REQUESTS)),
        *("--ui", "none", "--output-artifact-dir", str(found)),
        timeout_s=300,
    )
    figures = json.loads((found / "profile_export_aiperf.json").read_text())
    assert figures["request_count"]["avg"] == REQUESTS
    assert not figures.get("error_request_count")
    assert figures["output_sequence_length"]["min"] == TOKENS
    print(f"\n{api}: {row(figures)}")


def row(figures: Mapping[str, Any]) -> str:
    """Return the cells of a table: requests/s, then p50 and p99 of the times in ms."""
    times = [f"{figures[name]['p50']:.1f} / {figures[name]['p99']:.1f}" for name in SHOWN]
    return " | ".join((f"{figures['request_throughput']['avg']:.0f}", *times))
