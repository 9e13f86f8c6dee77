"""Schedules of the Lambda service: a function that is invoked at intervals."""

from collections.abc import Callable
from pathlib import Path

from tests.integration.local.service_harness import running
from tests.support.eventually import wait_until

HANDLER = """
    import json

    def handler(event, context):
        with open({note!r}, "a") as file:
            file.write(json.dumps(event) + "\\n")
        raise ValueError("the next one comes all the same")
"""


def test_schedule_invokes_its_function_again_and_again(
    write_function: Callable[[str], Path], tmp_path: Path
) -> None:
    note = tmp_path / "note"
    note.touch()
    config = {
        "port": 0,
        "functions": {"f": {"folder": str(write_function(HANDLER.format(note=str(note))))}},
        "schedules": [{"function": "f", "every_s": 0.05, "first_s": 0.05}],
    }
    with running("local.lambda_service", config, tmp_path / "service"):
        wait_until(lambda: len(note.read_text().splitlines()) >= 3)
    assert '"source": "aws.events"' in note.read_text().splitlines()[0]
