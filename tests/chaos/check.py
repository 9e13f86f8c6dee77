"""Decides from the history of a run alone which promises were broken.

`python -m tests.chaos.check FILE` judges a saved history. No I/O but in `main`.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axon.adapters.valkey.due_index import GRACE_S
from tests.chaos.answers import RESUME_WINDOW_S, TERMINAL, Answer, Fault, Observations, equal
from tests.chaos.check_conversations import broken_conversations, link
from tests.chaos.history import Op, Record, read
from tests.chaos.plans import Behaviour

LONGEST_FRAME = 128 * 1024
"""Bytes of a message (AWS quota of API Gateway)."""
GIVEN_UP = {
    "code": "server_error",
    "message": "The request failed repeatedly and was given up.",
}
"""The outcome of a job that dies with its workers, whether its client is connected or not."""
LOST_MESSAGE = "The answer was lost by a failure of the server. Please send the request again."
FAILOVERS = ("fail over", "demote", "rewind", "kill valkey")
"""Faults after which Valkey's history is another one."""
LANE_LOST_S = 10.0
"""Seconds after a failover for which another relay may begin an answer that was sent ahead, until
the relay that has the one before it has closed their connection (`docs/adr/0019-lanes.md`)."""
CLAIMED_S = 300.0
"""Seconds for which a conversation stays locked after its request has died between the claim and
the log (`docs/adr/0032-named-conversations.md`)."""
_CLAIMING = ("front", "valkey", "postgres")
"""Parts of the cloud that a claim needs."""
_TYPES = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "cancelled": "response.incomplete",
    "failed": "response.failed",
}
"""The terminal event of each status."""
_ORDER = (
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
)
"""Types of events in the order of an answer with one message; terminal events are the last."""

Findings = Iterator[tuple[Fault, str]]


@dataclass(frozen=True, slots=True)
class Broken:
    """A broken promise; `answer` is empty where it concerns none."""

    fault: Fault
    answer: str
    what: str

    def __str__(self) -> str:
        """Return it for a person."""
        return f"{self.fault}: {self.answer or 'no answer'}: {self.what}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The broken promises that a history shows."""

    observations: Observations
    broken: tuple[Broken, ...]

    @property
    def answers(self) -> list[Answer]:
        """All answers, in the order in which they were asked for."""
        return list(self.observations.answers.values())

    def count(self, fault: Fault) -> int:
        """Return how many answers met this fault."""
        return len({one.answer or one.what for one in self.broken if one.fault is fault})

    def explanation(self) -> str:
        """Return the broken promises, and all that is known of the answers that met them."""
        names = dict.fromkeys(one.answer for one in self.broken if one.answer)
        transcripts = (self.observations.answers[name].transcript() for name in names)
        return "\n\n".join(("\n".join(map(str, self.broken)), *transcripts))


def check(records: Iterable[Record]) -> Verdict:
    """Return which promises the history of a run shows to be broken."""
    observations = Observations.of(records)
    link(observations)
    broken = [
        Broken(fault, answer.name, what)
        for answer in observations.answers.values()
        for fault, what in (*_seen(answer, observations), *_kept(answer, observations))
    ]
    return Verdict(
        observations=observations,
        broken=(*broken, *(Broken(*one) for one in _of_none(observations))),
    )


def _seen(answer: Answer, run: Observations) -> Findings:
    """Judge what its client saw."""
    yield from answer.irregular
    yield from _strays(answer, run)
    yield from _ending(answer, losses=run.run.get("losses"), faults=run.faults)
    yield from _limits(answer)
    yield from _errors(answer)
    if answer.types != sorted(answer.types, key=_rank):
        yield Fault.WRONG, f"events in an order that no answer has: {answer.types}"
    if not answer.expected.startswith(answer.text):
        yield Fault.WRONG, "the text is not the beginning of what was expected"
    if answer.done_text not in (None, answer.text):
        yield Fault.WRONG, f"the text that is done is not the deltas': {answer.done_text!r}"
    if answer.final is not None:
        yield from _final(answer, answer.final, mixed=bool(run.run.get("earlier")))


def _rank(event_type: str) -> int:
    return _ORDER.index(event_type) if event_type in _ORDER else len(_ORDER)


def _strays(answer: Answer, run: Observations) -> Findings:
    # A server that has lost an idempotency key cannot know that the request was repeated.
    excused = run.run.get("losses") and (answer.submits > 1 or _has_lost_lane(answer, run.faults))
    if answer.strays and not excused:
        yield Fault.REPEATED, f"events of another response: {answer.strays[0][:200]}"


def _has_lost_lane(answer: Answer, faults: Sequence[Record]) -> bool:
    """Return whether a failover may have lost the lane in which the next answer was to wait."""
    ahead = [record.connection for record in answer.trail if record.op is Op.SEND_AHEAD]
    return all(
        json.loads(record.data["data"])["type"] == "response.created"
        and record.connection in ahead
        and _failed_over(faults, since=record.at - LANE_LOST_S, until=record.at)
        for record in answer.trail
        if record.op is Op.EVENT and record.data["data"] in answer.strays
    )


def _ending(answer: Answer, *, losses: str | None, faults: Sequence[Record]) -> Findings:
    if answer.final is not None:
        took_s = answer.ended_at - answer.submitted_at
        if answer.ends_within_s and took_s > answer.ends_within_s:
            yield Fault.LIMIT, f"its end came after {took_s:.1f} s, not {answer.ends_within_s:g}"
    elif answer.forgotten:
        # That the answer is lost is an honest end for a client that has more than the log. And who
        # has lost the log of a request whose job the fault deleted has no other record of it.
        # One that had ended, as by its client's cancellation, is known to the database still.
        forgets = losses == "everything" or (losses and answer.doomed)
        honest = ("response_lost", "response_not_found") if forgets else ("response_lost",)
        if _was_claimed(answer, faults):
            honest = (*honest, "conversation_locked")
        if not answer.forgotten.startswith(honest):
            yield Fault.LOST, f"refused: {answer.forgotten}"
    elif losses and answer.doomed and not answer.events:
        return  # the fault deleted its job, and its log was lost before its first event came
    elif not answer.left and not answer.irregular:
        yield Fault.SILENT, f"no end within {answer.ends_within_s:g} s"


def _was_claimed(answer: Answer, faults: Sequence[Record]) -> bool:
    """Return whether its conversation may be claimed for a request that has died since."""
    return bool(answer.conversation) and any(
        fault.at > answer.asked_at - CLAIMED_S
        and any(part in fault.data["what"] for part in _CLAIMING)
        for fault in faults
    )


def _limits(answer: Answer) -> Findings:
    longest = max((len(event.data.encode()) for event in answer.events), default=0)
    if longest > LONGEST_FRAME:
        yield Fault.LIMIT, f"a frame of {longest} bytes"
    if answer.limit is not None and answer.tokens > answer.limit:
        yield Fault.LIMIT, f"{answer.tokens} tokens, where {answer.limit} were allowed"


def _errors(answer: Answer) -> Findings:
    """Judge the shape of errors: an SDK ignores one that it cannot read, and its user waits."""
    for data in answer.errors:
        frame = json.loads(data)
        inner = frame.get("error")
        if frame.get("type") == "error" and not (
            isinstance(inner, dict) and {"type", "code", "message", "param"} <= inner.keys()
        ):
            yield Fault.WRONG, f"an error that SDKs cannot read: {data[:200]}"


def _final(answer: Answer, final: dict[str, Any], *, mixed: bool) -> Findings:
    """Judge the terminal event."""
    if _TYPES.get(answer.status) != answer.final_type:
        yield Fault.WRONG, f"status {answer.status} in {answer.final_type}"
    text = _text(final)
    if not answer.failed and text != answer.text:
        yield Fault.WRONG, f"the final text is not the deltas': {text!r}"
    match answer.status:
        case "completed":
            if answer.text != answer.expected:
                yield Fault.LOST, "the text ends too early"
            yield from _usage(answer, final["usage"])
        case "cancelled" | "failed":
            abandoned = answer.unattended_s > RESUME_WINDOW_S
            if answer.status == "cancelled" and not (
                answer.behaviour is Behaviour.CANCEL or abandoned
            ):
                yield Fault.LOST, "nobody asked to cancel it"
            usage = final["usage"]
            # The earlier version tells no usage of what does not complete; and what was lost with
            # its log was counted there.
            unknown = mixed or (final["error"] or {}).get("message") == LOST_MESSAGE
            known = {"output_tokens": answer.tokens if unknown else 0}
            if (usage or known)["output_tokens"] < answer.tokens:
                yield Fault.WRONG, f"usage {usage}, where {answer.tokens} tokens came"
        case "incomplete":
            if answer.tokens != answer.limit:
                yield Fault.LOST, f"{final['incomplete_details']} after {answer.tokens} tokens"
            yield from _usage(answer, final["usage"])


def _usage(answer: Answer, usage: dict[str, Any]) -> Findings:
    tokens = (usage["input_tokens"], usage["output_tokens"])
    if tokens != (answer.input_tokens, answer.tokens):
        yield Fault.WRONG, f"usage {tokens}, with {answer.input_tokens} words before"


def _kept(answer: Answer, run: Observations) -> Findings:
    """Judge what the database and the event log hold of it."""
    if not answer.response_id:
        return
    if run.rows is not None:
        yield from _row(answer, run, loses=bool(run.run.get("losses")))
    logged = run.logs.get(answer.response_id)
    if logged is not None:
        yield from _log(answer, logged, run)


def _row(answer: Answer, run: Observations, *, loses: bool) -> Findings:
    rows = run.rows or {}
    row = rows.get(answer.response_id)
    if row is None:
        # Telling of a failure may matter more than keeping it.
        if answer.left or answer.status in ("completed", "incomplete", "cancelled"):
            yield Fault.LOST, "not in the database"
        return
    if answer.left:
        error = row["response"]["error"]
        honest = (GIVEN_UP["message"], LOST_MESSAGE)
        ended = row["status"] == "cancelled" or _completed_after_failover(row, answer, run.faults)
        if not ended and (error or {}).get("message") not in honest:
            yield Fault.STORED, f"its client left, yet it is {row['status']}: {error}"
    elif not _is_stored(answer, row) and not (loses and _is_better_kept(answer, row)):
        yield Fault.STORED, f"otherwise in the database: {row}"
    yield from _conversation(answer, row, rows)


def _completed_after_failover(
    row: dict[str, Any], answer: Answer, faults: Sequence[Record]
) -> bool:
    """Return whether an answer has ended before it could be cancelled: its client had left.

    Nothing abandoned is cancelled for some time after a failover, which may have undone a
    resumption (`axon.adapters.valkey.due_index.GRACE_S`).
    """
    if row["status"] != "completed":
        return False
    # The API's time is in whole seconds.
    since, until = answer.asked_at - GRACE_S, row["response"]["completed_at"] + 1
    return _failed_over(faults, since=since, until=until)


def _failed_over(faults: Sequence[Record], *, since: float, until: float = float("inf")) -> bool:
    return any(
        fault.data["what"].startswith(FAILOVERS) and since <= fault.at <= until for fault in faults
    )


def _is_stored(answer: Answer, row: dict[str, Any]) -> bool:
    """Return whether the database has what its client received.

    A client whose answer says `store: false` must not rely on its record. A queue that did not
    answer in time may have taken it.
    """
    if answer.final is None:
        return True
    told, stored = answer.final, row["response"]
    return bool(told == (stored if told.get("store", True) else stored | {"store": False}))


def _is_better_kept(answer: Answer, row: dict[str, Any]) -> bool:
    """Return whether the client got an earlier end of an answer that the database has.

    Log, end and worker were lost at once: the record of such a failure replaces none. Or a
    cancellation was lost, and the answer has another end.
    """
    ended_outside = answer.status in ("failed", "cancelled")
    kept = ended_outside and row["status"] in ("completed", "incomplete", "cancelled")
    return kept and _text(row["response"]).startswith(answer.text)


def _text(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


def _conversation(answer: Answer, row: dict[str, Any], rows: dict[str, dict[str, Any]]) -> Findings:
    previous = answer.previous.response_id if answer.previous else None
    if row["previous_response_id"] != previous:
        yield Fault.STORED, f"it continues {row['previous_response_id']} in the database"
    earlier = rows.get(previous or "")
    if earlier is not None and earlier["conversation_id"] != row["conversation_id"]:
        yield Fault.STORED, f"not in conversation {earlier['conversation_id']} in the database"


def _log(answer: Answer, logged: list[str], run: Observations) -> Findings:
    """Compare the log with what came: byte for byte, but for events that were made again.

    The log of a response that has ended is held by nobody: where a server lost its newest data it
    may be shorter, but never another one.
    """
    loses = bool(run.run.get("losses"))
    unread = answer.left and _failed_over(run.faults, since=answer.asked_at)
    if loses and (unread or answer.forgotten.startswith("response_lost")):
        # Its reader was ahead of what the failover left, and got this error, or was gone: another
        # attempt may have put other events in their place (ADR 27).
        return
    received = [event.data for event in answer.events]
    if loses and answer.status in ("failed", "cancelled"):
        # Ended from outside, and the log may have lost that. An attempt that held it continues,
        # or relays end it again. What was generated before stays.
        received = [data for data in received if not _closes(data)]
        logged = [data for data in logged if not _closes(data)][: len(received)]
        received = received[: len(logged)]
    elif loses:
        # If the worker is gone, too, relays end in time what is left of the log. The end that the
        # client has received and the database holds stays as it is.
        if logged and _is_other_end(logged[-1], answer):
            logged = logged[:-1]
        if len(logged) < len(received):
            received = received[: len(logged)]
    if len(logged) < len(received) or not all(map(equal, received, logged)):
        yield Fault.WRONG, "the log holds other events"
    elif answer.final is not None and len(logged) != len(received):
        yield Fault.WRONG, f"the log holds {len(logged)} events"


def _is_other_end(data: str, answer: Answer) -> bool:
    event = json.loads(data)
    status = event.get("response", {}).get("status")
    return event["type"] in TERMINAL and status != answer.status


def _closes(data: str) -> bool:
    event_type = json.loads(data)["type"]
    return event_type in TERMINAL or _rank(event_type) > _rank("response.output_text.delta")


def _of_none(run: Observations) -> Iterator[tuple[Fault, str, str]]:
    """Judge what concerns no single answer."""
    yield from broken_conversations(run)
    # A response whose event 0 was lost before its client received it is answered for nobody.
    if not run.run.get("losses"):
        told = {answer.response_id for answer in run.answers.values()}
        for response_id in (run.rows or {}).keys() - told:
            yield Fault.STORED, "", f"{response_id} is in the database and with no client"
    for conversation_id in run.miscounted:
        yield Fault.STORED, "", f"the counters of {conversation_id} are wrong"


def main() -> int:
    """Return the exit status: 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="check", description="Judge the history of a chaos run.")
    parser.add_argument("file", type=Path)
    verdict = check(read(parser.parse_args().file))
    for fault in Fault:
        print(f"{fault}: {verdict.count(fault)}")
    if verdict.broken:
        print(verdict.explanation())
    return 1 if verdict.broken else 0


if __name__ == "__main__":
    sys.exit(main())
