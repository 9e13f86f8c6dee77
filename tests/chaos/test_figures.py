"""The figures of a run, from histories written by hand."""

import pytest

from tests.chaos.check import check
from tests.chaos.faults import Done
from tests.chaos.figures import recoveries
from tests.chaos.history_samples import HistorySample
from tests.chaos.schedule import Breakage, Kind


@pytest.mark.parametrize("doomed", [False, True])
def test_recoveries_leave_out_requests_that_wait_for_their_deadline(doomed: bool) -> None:
    sample = HistorySample()
    sample.answer("a", ["one", " two"], doomed=doomed)
    answers = check(sample.end()).answers
    kill = Breakage(kind=Kind.KILL, target="relay-0")
    done = [Done(at=answers[0].asked_at, fault=kill, hit={"resp_a": 1})]
    found = recoveries(answers, done)
    assert list(found) == ([] if doomed else ["relay"])
