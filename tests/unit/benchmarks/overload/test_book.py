from typing import Any

from benchmarks.overload.book import Book


def events(
    stream_id: str, *deltas: str, last: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """A response's events; the last one completed unless it is given."""
    listed: list[dict[str, Any]] = [{"type": "response.created"}]
    listed += [{"type": "response.output_text.delta", "delta": delta} for delta in deltas]
    done = {"type": "response.completed", "response": {"status": "completed", "error": None}}
    listed.append(last or done)
    return [
        {**event, "stream_id": stream_id, "sequence_number": number}
        for number, event in enumerate(listed)
    ]


def failed(code: str, message: str, **more: str) -> dict[str, Any]:
    error = {"code": code, "message": message, **more}
    return {"type": "response.failed", "response": {"status": "failed", "error": error}}


def book(*asked: str) -> Book:
    one = Book(tokens=3)
    for stream_id in asked:
        one.ask(stream_id)
    return one


def test_each_response_is_accounted_for_once() -> None:
    account = book("a", "b", "c", "d", "e")
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


def test_a_gap_a_wrong_text_and_a_second_end_are_wrong() -> None:
    account = book("a", "b")
    created, first, second, completed = events("a", "1", " 2 3")
    for event in (created, second, completed):
        account.note(event, 0)
    assert len(account.seen().wrong) == 3  # the number twice, and the text
    account = book("a", "b")
    for event in (*events("a", "1", " 2 3"), completed):
        account.note(event, 0)
    assert ["after the end" in text for text in account.seen().wrong] == [True]
    assert account.open == 1
    account.note(first | {"stream_id": "x"}, 0)
    assert "for nobody" in account.seen().wrong[1]
