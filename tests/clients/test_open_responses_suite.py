"""The public Open Responses compliance suite, from a copy that an environment variable names.

It is no package, and nothing of it is kept here: `tests/e2e/test_open_responses.py` has its cases,
written again.
"""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.clients import environments
from tests.clients.client_harness import ClientHarness
from tests.clients.scripted_model import MODEL
from tests.e2e.cloud import API_KEY

SUITE = os.environ.get("AXON_OPEN_RESPONSES_SUITE", "")
PARTS = ("bin", "src/lib", "src/generated")
NOT_SERVED = ("file-search", "image", "tool-calling", "web-search")
"""Words in the names of the cases that Axon does not pass yet."""

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not SUITE, reason="needs AXON_OPEN_RESPONSES_SUITE, a copy of the suite"),
]


def test_open_responses_suite_fails_nothing_that_is_served(clients: ClientHarness) -> None:
    project = environments.node("open-responses")
    suite = project / "suite"  # beside the packages that it imports
    shutil.rmtree(suite, ignore_errors=True)
    for part in PARTS:
        shutil.copytree(Path(SUITE) / part, suite / part)
    address = ("--base-url", clients.base_url, "--api-key", API_KEY, "--model", MODEL)
    # It ends with 1 if any case fails.
    command = f'"$0" "$@" > {clients.home}/report.json || true'
    tsx, program = project / "node_modules/.bin/tsx", suite / "bin/compliance-test.ts"
    clients.run("sh", "-c", command, str(tsx), str(program), *address, "--json")
    results = json.loads((clients.home / "report.json").read_text())["results"]
    assert len(results) >= 6
    wrong = {r["id"]: r["errors"] for r in results if r["status"] == "failed"}
    assert not {name: errors for name, errors in wrong.items() if not _not_served(name)}


def _not_served(name: str) -> bool:
    return any(part in name for part in NOT_SERVED)
