"""Judges named conversations: each has its turns once, in order, as their client saw them.

A response that fails adds nothing to its conversation; a cancelled or incomplete one adds what it
has (`docs/conversations.md`). Of an answer that its client did not see to its end, the database
says how it has ended.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from tests.chaos.answers import Answer, Fault, Observations

Turn = tuple[str, str]
"""Text of the user, and of the answer to it."""


def link(run: Observations) -> None:
    """Set what each answer of a conversation continues.

    That is what the database says, if it may be so. Else the last turn that its client knows of.
    """
    for answers in _asked(run).values():
        for number, answer in enumerate(answers):
            candidates = _candidates(answers[:number], run)
            before = _row(answer, run).get("previous_response_id")
            answer.previous = next(
                (one for one in candidates if (one and one.response_id) == before), candidates[-1]
            )
            row = _row(answer, run)
            if answer.final is None and row:
                answer.stored_tokens = len(_text(row).split())


def broken_conversations(run: Observations) -> Iterator[tuple[Fault, str, str]]:
    """Yield the conversations whose items are other ones than their clients know."""
    if run.rows is None:
        return  # the run was interrupted: nobody has listed them
    for conversation_id, answers in _asked(run).items():
        for answer in answers:
            row = _row(answer, run)
            if row and row["conversation_id"] != conversation_id:
                yield Fault.STORED, answer.name, f"in conversation {row['conversation_id']}"
        turns = _turns(run.items.get(conversation_id))
        if turns is None:
            yield Fault.LOST, "", f"the items of {conversation_id} cannot be listed"
        elif not _explains(turns, answers, run):
            yield Fault.STORED, "", _difference(conversation_id, turns, answers)


def _asked(run: Observations) -> dict[str, list[Answer]]:
    """Return the answers of each conversation, in the order in which they were asked for."""
    found: dict[str, list[Answer]] = defaultdict(list)
    for answer in run.answers.values():
        if answer.conversation:
            found[answer.conversation].append(answer)
    return found


def _candidates(earlier: Sequence[Answer], run: Observations) -> list[Answer | None]:
    """Return the turns that may be the last one: the one that is it in any case comes last."""
    found: list[Answer | None] = []
    for answer in reversed(earlier):
        if answer.response_id and _may_be_a_turn(answer, run):
            found.append(answer)
            if _is_a_turn(answer, run):
                return found
    return [*found, None]


def _is_a_turn(answer: Answer, run: Observations) -> bool:
    """Return whether a conversation must have an answer."""
    if answer.status in ("completed", "incomplete"):
        return True
    loses = bool(run.run.get("losses"))
    ended = _row(answer, run).get("status", "failed") != "failed"
    if answer.status == "cancelled":
        # A failover may undo a cancellation, and the answer may then fail.
        return ended or not loses
    return not answer.failed and ended and not loses


def _may_be_a_turn(answer: Answer, run: Observations) -> bool:
    row = _row(answer, run)
    if answer.failed:
        # Log, end and worker were lost at once; the database has the end before that.
        return bool(run.run.get("losses")) and row.get("status", "failed") != "failed"
    return row.get("status") != "failed"


def _explains(turns: Sequence[Turn], answers: Sequence[Answer], run: Observations) -> bool:
    """Return whether these answers, in this order, make exactly these turns."""
    # How many turns the answers so far may have made: where prompts are alike, there are several.
    made = {0}
    for answer in answers:
        without = set() if _is_a_turn(answer, run) else made
        follow = {count + 1 for count in made if _fits(answer, turns[count : count + 1], run)}
        made = without | follow
    return len(turns) in made


def _fits(answer: Answer, following: Sequence[Turn], run: Observations) -> bool:
    """Return whether the next turn, if there is one, may be this answer."""
    if not following or not _may_be_a_turn(answer, run):
        return False
    prompt, text = following[0]
    row = _row(answer, run)
    if prompt != answer.prompt or (row and text != _text(row)):
        return False
    if answer.status in ("completed", "incomplete"):
        return text == answer.text
    if answer.status == "cancelled" and not run.run.get("losses"):
        return text == answer.text
    return answer.expected.startswith(text)


def _turns(items: Sequence[Sequence[str]] | None) -> list[Turn] | None:
    """Return the turns of a conversation's items; None if they could not be listed."""
    if items is None:
        return None
    turns: list[Turn] = []
    for role, text in items:
        if role == "user":
            turns.append((text, ""))
        elif role != "assistant" or not turns:
            turns.append((f"an item of {role}: {text}", ""))  # of nobody's question
        else:
            prompt, before = turns[-1]
            turns[-1] = (prompt, before + text)
    return turns


def _difference(conversation_id: str, turns: Sequence[Turn], answers: Sequence[Answer]) -> str:
    stored = [f"{prompt[:40]!r} {len(text.split())} words" for prompt, text in turns]
    asked = [
        f"{one.name} {one.prompt[:40]!r} {one.status or 'no end'} {one.tokens} words"
        for one in answers
    ]
    return "\n  ".join([f"{conversation_id} has other items: {stored}", *asked])


def _row(answer: Answer, run: Observations) -> dict[str, Any]:
    return (run.rows or {}).get(answer.response_id, {})


def _text(row: dict[str, Any]) -> str:
    output = row["response"]["output"]
    return "".join(part["text"] for item in output for part in item["content"])
