"""Events, journal records and checkpoints as the event log in Valkey keeps them."""

from collections.abc import Sequence
from dataclasses import replace

from axon.adapters.valkey.generation import UNKNOWN
from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.lanes import LanePosition
from axon.event_log.log import JournalRecord, LoggedEvent, ResponseMeta, Status
from axon.event_log.openings import Opening, OpenResult
from axon.exceptions import AxonError, FencedError, LostClaimError, MissingResponseError
from axon.formats import VERSIONS, Format, UnreadableLogError

_CLOCK_US = 10**12
"""Above any count of a relay's calls, and below microseconds since 1970; as in `generation.lua`."""

META_FIELDS = (
    *(b"format", b"tenant_id", b"connection_id", b"relay_id", b"status", b"epoch"),
    *(b"next_sequence", b"checkpoint", b"checkpoint_us", b"checkpoint_generation"),
    *(b"message_id", b"key_id", b"claim", b"generation", b"forks"),
    *(b"lane", b"order", b"before"),
)
"""Fields of a response's hash that `meta` reads, without the job."""


def opening(answer: Sequence[bytes]) -> Opening:
    """Return an opening as a script answers it: the result, the first response's id, its digest."""
    outcome, *first = map(bytes.decode, answer)
    return Opening(OpenResult(outcome), *first)


def pairs(events: Sequence[LoggedEvent]) -> list[bytes | str]:
    """Return each event and its token ids, as arguments of a script."""
    return [part for event in events for part in (event.data, ",".join(map(str, event.token_ids)))]


def triples(journal: Sequence[JournalRecord]) -> list[bytes | str | int]:
    """Return each record's kind, data and the event that it follows, as arguments of a script."""
    return [part for record in journal for part in (record.kind, record.data, record.after)]


def checkpoint(fields: dict[bytes, bytes], generation: str | None) -> DeliveryCheckpoint:
    """Return a response's checkpoint: in doubt if another generation may have gone on from it."""
    written = DeliveryCheckpoint.decode(fields.get(b"checkpoint", b"0"))
    # A relay of the version before leaves the generation as it was, and has a clock for a counter.
    of_before = int(fields.get(b"checkpoint_us", b"0")) >= _CLOCK_US
    if of_before or is_current(fields.get(b"checkpoint_generation"), generation):
        return written
    return replace(written, tail=TailState.IN_DOUBT)


def is_current(stored: bytes | None, generation: str | None) -> bool:
    """Return whether a field's generation is this one; `generation.lua` decides the same."""
    return stored is None or generation == UNKNOWN or stored.decode() == generation


def event(entry_id: bytes, fields: dict[bytes, bytes]) -> LoggedEvent:
    """Return the event of a Stream's entry."""
    tokens = fields.get(b"t", b"")
    return LoggedEvent(
        sequence_number=int(entry_id.partition(b"-")[0]) - 1,
        data=fields[b"e"],
        token_ids=tuple(map(int, tokens.split(b","))) if tokens else (),
    )


def record(entry_id: bytes, fields: dict[bytes, bytes]) -> JournalRecord:
    """Return the journal record of a Stream's entry."""
    return JournalRecord(
        number=int(entry_id.partition(b"-")[0]) - 1,
        after=int(fields[b"a"]),
        kind=fields[b"k"].decode(),
        data=fields[b"d"],
    )


def meta(response_id: str, fields: dict[bytes, bytes], generation: str | None) -> ResponseMeta:
    """Return a response's state as its hash has it.

    Parameters
    ----------
    response_id : str
        The response.
    fields : dict[bytes, bytes]
        Fields of its hash.
    generation : str | None
        Generation of the server that has answered; None if it is not known.

    Raises
    ------
    UnreadableLogError
        A newer version has written it.
    """
    if int(fields.get(b"format", b"1")) > VERSIONS[Format.EVENT_LOG]:
        raise UnreadableLogError(
            response_id,
            connection_id=fields.get(b"connection_id", b"").decode(),
            relay_id=fields.get(b"relay_id", b"").decode(),
        )
    return ResponseMeta(
        response_id=response_id,
        tenant_id=fields[b"tenant_id"].decode(),
        connection_id=fields[b"connection_id"].decode(),
        relay_id=fields[b"relay_id"].decode(),
        status=Status(fields[b"status"].decode()),
        epoch=int(fields[b"epoch"]),
        next_sequence=int(fields[b"next_sequence"]),
        job=fields.get(b"job", b""),
        checkpoint=checkpoint(fields, generation),
        message_id=fields.get(b"message_id", b"").decode(),
        key_id=fields.get(b"key_id", b"").decode(),
        nonce=fields.get(b"claim", b"").decode(),
        incomplete=not is_current(fields.get(b"generation"), generation),
        forks=fields.get(b"forks", b"").decode(),
        position=position(fields),
    )


def position(fields: dict[bytes, bytes]) -> LanePosition:
    """Return a response's place in its lane, as its hash has it."""
    names = ("lane", "order", "before")
    return LanePosition.from_fields(
        {name: fields[name.encode()].decode() for name in names if name.encode() in fields}
    )


def place(parts: Sequence[bytes]) -> LanePosition:
    """Return a place in a lane from its three parts, as a script returns them."""
    lane, order, before = (part.decode() for part in parts)
    return LanePosition(lane, int(order), before)


def places(position: LanePosition) -> list[str | int]:
    """Return a place in a lane as arguments of a script."""
    return [position.lane, position.order, position.before]


def check(outcome: bytes, response_id: str) -> None:
    """Raise what a script of the log has answered, unless it did what it was called for.

    Raises
    ------
    MissingResponseError
        No such log.
    UnreadableLogError
        A newer version has written it.
    FencedError
        Another attempt has the response, or it has ended.
    """
    match outcome:
        case b"claimed" | b"appended" | b"marked":
            return
        case b"missing":
            raise MissingResponseError(f"{response_id} is not in the event log")
        case b"unreadable":
            raise UnreadableLogError(response_id)
        case b"fenced":
            raise FencedError(f"{response_id} has a newer attempt or has ended")
        case b"unclaimed":
            raise LostClaimError(f"{response_id}: the log has lost this claim")
        case b"conflict":
            raise FencedError(f"{response_id} has other events under these numbers")
        case _:
            raise AxonError(f"{response_id}: unknown answer {outcome.decode()}")


def optional_flag(value: bool | None) -> str:
    """Return a flag as a script takes it; the empty string if it is not set."""
    return "" if value is None else str(int(value))
