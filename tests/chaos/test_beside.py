"""Programs of a cloud that runs two versions alternate between them at each start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local.supervision.program import Program
from tests.chaos.beside import MIGRATE, Versions, survived, unread
from tests.chaos.cloud import FUNCTIONS, RELAYS
from tests.chaos.earlier import EarlierTree, EarlierTreeError, prepared
from tests.chaos.schedule import DECK, LOSS


def versions(folder: Path) -> Versions:
    """Return versions whose earlier interpreter prints a word of its own."""
    earlier = EarlierTree(commit="0123456789abcdef", folder=folder / "earlier")
    earlier.python.parent.mkdir(parents=True)
    earlier.python.write_text('#!/bin/sh\necho earlier "$@"\n')
    earlier.python.chmod(0o700)
    for name in ("respond", MIGRATE):
        (earlier.functions / name).mkdir(parents=True)
    return Versions(earlier=earlier, folder=folder)


def program(name: str, *arguments: str) -> Program:
    return Program(name=name, command=(sys.executable, *arguments), ready=lambda _: True)


def started(adapted: Program) -> str:
    adapted.prepare()
    return subprocess.run(adapted.command, check=True, capture_output=True, text=True).stdout


def test_versions_alternate_with_each_start_of_a_relay(tmp_path: Path) -> None:
    both = versions(tmp_path)
    first, second = (both.adapted(program(name, "-c", "print('today')")) for name in RELAYS)
    assert [started(first).split()[0] for _ in range(3)] == ["earlier", "today", "earlier"]
    assert [started(second).split()[0] for _ in range(2)] == ["today", "earlier"]
    assert both.summary() == (
        "relay-0 of 0123456 2, relay-0 of today 1, relay-1 of 0123456 1, relay-1 of today 1"
    )


def test_versions_give_functions_an_earlier_code_and_migrations_none(tmp_path: Path) -> None:
    both = versions(tmp_path)
    file = tmp_path / "lambda.json"
    functions = {name: {"folder": "."} for name in ("respond", MIGRATE, "added-today")}
    file.write_text(json.dumps({"functions": functions}))
    both.adapted(program(FUNCTIONS, "-m", "local.lambda_service", "--config", str(file)))
    content = json.loads(file.read_text())["functions"]
    assert [name for name, function in content.items() if "earlier" in function] == ["respond"]
    assert content["respond"]["earlier"]["python"] == str(both.earlier.python)


def test_versions_leave_other_programs_as_they_are(tmp_path: Path) -> None:
    gateway = program("gateway")
    assert versions(tmp_path).adapted(gateway) is gateway


def test_survived_leaves_out_what_the_earlier_version_does_not_promise() -> None:
    assert survived(LOSS) == ()
    assert {str(fault) for fault in survived(DECK)} <= {str(fault) for fault in DECK}
    assert survived(DECK)


def test_unread_finds_what_either_version_could_not_read(tmp_path: Path) -> None:
    lines = ["INFO serves", "ERROR set aside, no readable job: it has version 2", "later"]
    (tmp_path / "worker-0.log").write_text("\n".join(lines))
    (tmp_path / "lambda.log").write_text("not a record\n")
    assert unread(tmp_path) == ["lambda.log: not a record", f"worker-0.log: {lines[1]}"]


def test_prepared_refuses_a_commit_that_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(EarlierTreeError, match="no such commit here"):
        prepared("0000000000", say=print, root=tmp_path)
