"""Short runs: nothing is lost, repeated or left unanswered, whatever dies."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos.run import Report, Run, run
from tests.chaos.schedule import KILLS, LOSS, PARTITIONS, SHUTDOWNS, Kind

pytestmark = pytest.mark.timeout(420)


def carried_out(what: Run) -> Report:
    report = asyncio.run(run(what))
    print(report.figures.render())
    assert report.kept, report.explanation()
    return report


def test_chaos_loses_no_token_whatever_dies(tmp_path: Path) -> None:
    what = Run(
        seed="short-9",
        seconds=12,
        clients=10,
        every_s=0.5,
        deck=KILLS + SHUTDOWNS + PARTITIONS,
        root=tmp_path / "data",
        say=print,
    )
    figures = carried_out(what).figures
    assert figures.kills >= 8
    assert figures.answers >= 10  # more than 100 where nothing else runs
    killed = {name.partition("-")[0] for name in figures.done if name.startswith(Kind.KILL)}
    assert killed >= {"kill worker", "kill relay", "kill environment", "kill front"}


def test_chaos_survives_a_valkey_that_loses_everything(tmp_path: Path) -> None:
    what = Run(
        seed="flush", seconds=8, clients=8, every_s=4, deck=LOSS, root=tmp_path / "data", say=print
    )
    figures = carried_out(what).figures
    assert figures.done["flush valkey"] >= 1
    assert figures.statuses["completed"] >= 3
