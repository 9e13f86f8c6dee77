from benchmarks.overload.records import ResponseRecords
from tests.unit.benchmarks.overload.event_samples import events, failed


def records(*asked: str) -> ResponseRecords:
    one = ResponseRecords(tokens=3)
    for stream_id in asked:
        one.ask(stream_id)
    return one


def test_records_count_each_response_once() -> None:
    account = records("a", "b", "c", "d", "e")
    assert account.open == 5
    for second, event in enumerate(events("a", "1", " 2 3")):
        assert account.note(event, second) == (second == 0)
    for event in events("b", last=failed("server_error", "Late.")):
        account.note(event, 7)
    for event in events("c", last=failed("server_error", "Full.", type="server_overloaded")):
        account.note(event, 8)
    refusal = {"type": "error", "stream_id": "d", "error": {"message": "No."}}
    assert account.note(refusal, 9)
    assert account.open == 1
    seen = account.seen()
    assert seen.outcomes == {
        "completed": 1,
        "failed, server_error: Late.": 1,
        "failed, server_overloaded: Full.": 1,
        "refused: No.": 1,
        "lost": 1,
    }
    assert (seen.accepted_at, seen.completed_at, seen.failed_at) == ([0, 7, 8], [3], [7, 8, 9])
    assert seen.wrong == []


def test_records_find_gaps_wrong_texts_and_second_ends() -> None:
    account = records("a", "b")
    created, first, second, completed = events("a", "1", " 2 3")
    for event in (created, second, completed):
        account.note(event, 0)
    assert len(account.seen().wrong) == 3  # the number twice, and the text
    account = records("a", "b")
    for event in (*events("a", "1", " 2 3"), completed):
        account.note(event, 0)
    assert ["after the end" in text for text in account.seen().wrong] == [True]
    assert account.open == 1
    account.note(first | {"stream_id": "x"}, 0)
    assert "for nobody" in account.seen().wrong[1]
