"""The checker, on histories written by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.answers import Fault
from tests.chaos.check import GIVEN_UP, LOST_MESSAGE, check, main
from tests.chaos.history import Op
from tests.chaos.history_samples import (
    HistorySample,
    created,
    delta,
    done,
    faults,
    frames_of,
    response,
    whole,
)
from tests.chaos.plans import Behaviour


def told(
    sample: HistorySample, deltas: list[str], status: str, changed: dict[str, object] | None = None
) -> None:
    """Add an answer of one client, as its client sees it, to "one two", without what is stored."""
    text = "".join(deltas)
    final = response("c", text, status, input_tokens=2) | (changed or {})
    kind = "incomplete" if status == "cancelled" else status
    events = [created("c"), *(delta("c", part) for part in deltas), done("c", text)]
    sample.events("c", [*events, {"type": f"response.{kind}", "response": final}])


def test_check_finds_nothing_in_a_history_that_keeps_every_promise() -> None:
    verdict = check(whole().end())
    assert verdict.broken == ()
    first, second = verdict.answers
    assert (first.text, first.ended, first.continuable) == ("one two three", True, True)
    assert (first.context, second.input_tokens) == (6, 8)


def test_answer_news_is_what_dead_workers_had_not_generated() -> None:
    answer = check(whole().end()).answers[1]
    assert answer.news(after=0, tokens=1) == answer.events[2].at
    assert answer.news(after=0, tokens=5) == answer.events[-1].at
    assert answer.news(after=answer.events[-1].at, tokens=0) is None


@pytest.mark.parametrize(
    ("deltas", "status", "fields", "fault"),
    [
        (["one"], "completed", {}, Fault.LOST),
        (["three"], "failed", {}, Fault.WRONG),
        (["one", " two"], "completed", {"output": []}, Fault.WRONG),
        (
            ["one", " two"],
            "completed",
            {"usage": {"input_tokens": 3, "output_tokens": 2}},
            Fault.WRONG,
        ),
        ([], "cancelled", {}, Fault.LOST),
        (["one"], "incomplete", {}, Fault.LOST),
        (["one", " two"], "failed", {"status": "completed"}, Fault.WRONG),
        (["one"], "failed", {"usage": {"input_tokens": 2, "output_tokens": 0}}, Fault.WRONG),
        (["one"], "failed", {"usage": None}, Fault.WRONG),
    ],
)
def test_check_finds_an_end_that_does_not_fit(
    deltas: list[str], status: str, fields: dict[str, object], fault: Fault
) -> None:
    sample = HistorySample()
    sample.ask("c", "one two")
    told(sample, deltas, status, fields)
    assert fault in faults(sample.records)
    assert "resp_c" in check(sample.records).explanation()


def test_check_finds_events_in_an_order_that_no_answer_has() -> None:
    sample = HistorySample()
    sample.ask("c", "one two")
    sample.events("c", [created("c"), done("c", "one"), delta("c", "one")])
    assert Fault.WRONG in faults(sample.records)


def test_check_accepts_an_honest_failure_in_time() -> None:
    sample = HistorySample()
    sample.ask("c", "one two")
    told(sample, ["one"], "failed")
    assert faults(sample.end()) == set()


def test_check_expects_no_usage_of_an_answer_that_was_lost_with_its_log() -> None:
    sample = HistorySample()
    sample.ask("c", "one two")
    error = {"code": "server_error", "message": LOST_MESSAGE}
    told(sample, ["one"], "failed", {"usage": None, "error": error})
    assert faults(sample.end()) == set()


def test_check_compares_the_end_with_the_limits() -> None:
    sample = HistorySample()
    sample.ask("c", "one two", limit=1, ends_within_s=0.3)
    told(sample, ["one", " two"], "incomplete")
    verdict = check(sample.records)
    assert [one.what for one in verdict.broken if one.fault is Fault.LIMIT] == [
        "its end came after 0.5 s, not 0.3",
        "2 tokens, where 1 were allowed",
    ]


def test_check_finds_a_frame_that_is_too_large() -> None:
    sample = HistorySample()
    sample.answer("c", ["x" * 140_000])
    assert faults(sample.end()) == {Fault.LIMIT}


def test_check_finds_an_error_that_sdks_cannot_read() -> None:
    sample = whole()
    sample.add(Op.ERROR, "a", data=json.dumps({"message": "Internal server error"}))
    assert faults(sample.records) == set()
    sample.add(Op.ERROR, "a", data=json.dumps({"type": "error", "message": "m"}))
    assert faults(sample.end()) == {Fault.WRONG}


def test_check_finds_two_terminal_events() -> None:
    sample = whole()
    end = json.loads(sample.records[list(frames_of(sample.records, "b"))[-1]].data["data"])
    sample.add(Op.EVENT, "b", data=json.dumps({**end, "sequence_number": 5}))
    assert faults(sample.end()) == {Fault.ENDED_TWICE}


def test_check_finds_an_old_answers_event_on_the_next_ones_connection() -> None:
    sample = whole()
    sample.add(
        Op.EVENT, "b", data=sample.records[next(frames_of(sample.records, "a"))].data["data"]
    )
    assert [(one.fault, one.answer) for one in check(sample.records).broken] == [
        (Fault.REPEATED, "a")
    ]


def test_check_excuses_a_second_response_only_where_an_idempotency_key_was_lost() -> None:
    for losses, submits, found in (("", 2, True), ("some", 1, True), ("some", 2, False)):
        sample = whole(losses=losses)
        for _ in range(submits - 1):
            sample.add(Op.SUBMIT, "a")
        sample.events("a", [created("z")])
        assert (Fault.REPEATED in faults(sample.records)) is found


def test_check_finds_a_refusal_unless_the_servers_forget_everything() -> None:
    for losses, code, found in (
        ("", "response_not_found", {Fault.LOST}),
        ("some", "response_not_found", {Fault.LOST}),
        ("some", "response_lost", set()),
        ("some", "invalid_value", {Fault.LOST}),
        ("everything", "response_not_found", set()),
        ("everything", "response_lost", set()),
    ):
        sample = HistorySample(losses=losses)
        sample.ask("c", "one")
        sample.add(Op.FORGOTTEN, "c", what=f"{code}: gone")
        assert faults(sample.end()) == found


def test_check_lets_the_log_hold_other_events_where_the_client_knows_that_or_has_left() -> None:
    for losses, told, found in (
        ("some", Op.FORGOTTEN, set()),
        ("some", Op.LEAVE, set()),
        ("some", None, {Fault.WRONG, Fault.SILENT}),
    ):
        sample = HistorySample(losses=losses)
        sample.ask("c", "one")
        frames = sample.events("c", [created("c"), delta("c", "one")])
        if told is not None:
            sample.add(told, "c", what="response_lost: replaced")
        if told is Op.LEAVE:
            sample.add(Op.FAULT, what="fail over valkey for 5 s", hit={})
        status = "cancelled" if told is Op.LEAVE else "completed"
        final = response("c", "one", status, input_tokens=1)
        sample.store("c", final, [frames[0], json.dumps(delta("c", "other"))])
        assert faults(sample.end()) == found


def test_check_accepts_that_a_request_without_job_and_log_is_unknown() -> None:
    for losses, found in (("", {Fault.LOST}), ("some", set())):
        sample = HistorySample(losses=losses)
        sample.ask("c", "one", doomed=True)
        sample.add(Op.FORGOTTEN, "c", what="response_not_found: gone")
        assert faults(sample.end()) == found


def test_check_accepts_silence_only_where_job_and_log_were_lost_before_the_first_event() -> None:
    for losses, doomed, events, found in (
        ("some", True, False, set()),
        ("", True, False, {Fault.SILENT}),
        ("some", False, False, {Fault.SILENT}),
        ("some", True, True, {Fault.SILENT}),
    ):
        sample = HistorySample(losses=losses)
        sample.ask("c", "one", doomed=doomed)
        if events:
            final = response("c", "", "failed", input_tokens=1)
            sample.store("c", final, sample.events("c", [created("c")]))
        sample.add(Op.GIVE_UP, "c")
        assert faults(sample.end()) == found


def test_check_counts_a_limit_from_the_submission() -> None:
    for op, found in ((Op.ASK, set()), (Op.SUBMIT, {Fault.LIMIT})):
        records = whole().end()
        first = next(index for index, record in enumerate(records) if record.op is op)
        name = records[first].answer
        for index, record in enumerate(records):
            if record.answer == name and index <= first:
                records[index] = replace(record, at=record.at - 70)
        assert faults(records) == found


def test_check_accepts_a_record_of_an_answer_that_was_told_as_not_stored() -> None:
    for told, stored, found in ((False, True, set()), (True, False, {Fault.STORED})):
        sample = HistorySample()
        sample.ask("c", "one")
        final = response("c", "", "failed", input_tokens=1)
        end = {"type": "response.failed", "response": final | {"store": told}}
        frames = sample.events("c", [created("c"), end])
        sample.store("c", final | {"store": stored}, frames)
        assert faults(sample.end()) == found


def test_check_expects_a_response_whose_client_left_to_be_cancelled() -> None:
    for status, error, found in (
        ("cancelled", None, set()),
        ("failed", GIVEN_UP, set()),
        ("completed", None, {Fault.STORED}),
    ):
        sample = HistorySample()
        sample.ask("c", "one", behaviour=Behaviour.LEAVE)
        frames = sample.events("c", [created("c")])
        sample.add(Op.LEAVE, "c")
        final = response("c", "", status, input_tokens=1)
        final |= {"error": error, "completed_at": 100}
        sample.store("c", final, [*frames, "more"])
        assert faults(sample.end()) == found


def test_check_lets_an_answer_complete_whose_client_left_before_a_failover() -> None:
    for fault, found in (
        ("fail over valkey for 5 s", set()),
        ("kill worker-0", {Fault.STORED}),
    ):
        sample = HistorySample()
        sample.ask("c", "one", behaviour=Behaviour.LEAVE)
        frames = sample.events("c", [created("c")])
        sample.add(Op.LEAVE, "c")
        sample.add(Op.FAULT, what=fault, hit=True)
        final = response("c", "", "completed", input_tokens=1)
        sample.store("c", final | {"completed_at": int(sample.end()[-1].at)}, [*frames, "more"])
        assert faults(sample.end()) == found


def test_check_compares_the_database_with_what_was_told() -> None:
    for field, value in (
        ("response", {}),
        ("previous_response_id", None),
        ("conversation_id", "conv_z"),
    ):
        records = [
            replace(record, data={"row": {**record.data["row"], field: value}})
            if record.op is Op.ROW and record.data["row"]["response_id"] == "resp_b"
            else record
            for record in whole().end()
        ]
        assert faults(records) == {Fault.STORED}


def test_check_finds_rows_that_are_missing_and_rows_that_are_nobodys() -> None:
    rowless = [record for record in whole().end() if record.op is not Op.ROW]
    assert faults(rowless) == {Fault.LOST}
    sample = whole()
    sample.store("z", response("z", "", "completed", input_tokens=1), [])
    assert faults(sample.end()) == {Fault.STORED}
    sample.add(Op.MISCOUNTED, conversation_id="conv_a")
    assert check(sample.records).count(Fault.STORED) == 2


def test_check_compares_the_log_with_what_was_told() -> None:
    for keep, losses, found in (
        (2, "", {Fault.WRONG}),
        (2, "some", set()),
        (0, "everything", set()),
        (0, "", {Fault.WRONG}),
    ):
        records = [
            replace(record, data={**record.data, "events": record.data["events"][:keep]})
            if record.op is Op.LOG
            else record
            for record in whole(losses=losses).end()
        ]
        assert faults(records) == found
    for kind, found in (("response.failed", set()), ("response.output_text.delta", {Fault.WRONG})):
        other = json.dumps({"type": kind})
        changed = [
            replace(record, data={**record.data, "events": [*record.data["events"][:2], other]})
            if record.op is Op.LOG
            else record
            for record in whole(losses="some").end()
        ]
        assert faults(changed) == found


def test_check_accepts_another_failure_in_the_log_only_after_a_loss() -> None:
    for losses, found in (("", {Fault.WRONG}), ("some", set())):
        sample = HistorySample(losses=losses)
        sample.answer("c", ["one", " two"], status="failed")
        records = sample.end()
        for index, record in enumerate(records):
            if record.op is Op.LOG:
                other = json.dumps({"type": "response.failed", "response": {"status": "failed"}})
                events = [*record.data["events"][:2], other]
                records[index] = replace(record, data={**record.data, "events": events})
        assert faults(records) == found


def test_check_accepts_that_a_lost_answer_is_stored_only_after_a_loss() -> None:
    for losses, text, found in (
        ("", "one two three", {Fault.STORED}),
        ("some", "one two three", set()),
        ("some", "one three", {Fault.STORED}),
    ):
        sample = HistorySample(losses=losses)
        stored = response("c", text, "completed", input_tokens=2)
        sample.answer(
            "c", ["one", " two"], status="failed", row={"response": stored, "status": "completed"}
        )
        assert faults(sample.end()) == found


def test_check_judges_a_saved_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "history.jsonl"
    for change, status in (([], 0), ([-1], 1)):
        records = whole().end()
        for place in change:
            records.pop(list(frames_of(records, "b"))[place])
        file.write_text("".join(record.line() + "\n" for record in records))
        monkeypatch.setattr("sys.argv", ["check", str(file)])
        assert main() == status
    assert "silent: b: no end within 60 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("losses", "since_s", "begins", "found"),
    [
        ("", 1, True, True),
        ("some", 1, True, False),
        ("some", 30, True, True),
        ("some", 1, False, True),
    ],
)
def test_check_finds_an_answer_that_begins_before_the_end_of_the_one_before_in_its_lane(
    losses: str, since_s: float, *, begins: bool, found: bool
) -> None:
    """But for the beginning of one whose lane a failover has just lost (ADR 19)."""
    sample = HistorySample(losses=losses)
    sample.ask("c", "one two")
    sample.events("c", [created("c"), delta("c", "one")])
    sample.add(Op.SEND_AHEAD, "c", next="d")
    sample.add(Op.FAULT, what="fail over valkey for 1.5 s", hit={})
    sample.pause(since_s)
    other = created("d") if begins else delta("d", "one")
    sample.add(Op.EVENT, "c", data=json.dumps({**other, "sequence_number": 0}))
    assert (Fault.REPEATED in faults(sample.records)) == found


@pytest.mark.parametrize(("unattended_s", "found"), [(11.0, True), (13.0, False)])
def test_check_expects_an_answer_that_nobody_comes_back_for_to_be_cancelled(
    unattended_s: float, found: bool
) -> None:
    """It was sent ahead on a connection that broke; its client asks again for one after another."""
    sample = HistorySample()
    sample.answer("a", ["one"])
    sample.add(Op.SEND_AHEAD, "a", next="c")
    sample.pause(unattended_s)
    sample.ask("c", "one two")
    told(sample, [], "cancelled")
    broken = [one.what for one in check(sample.end()).broken]
    assert ("nobody asked to cancel it" in broken) == found
