"""Delivery checkpoints: how far a client has certainly received a response."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Self


class TailState(StrEnum):
    """Knowledge of the events from a checkpoint's number on; the value follows the number."""

    NONE = ""
    """None was posted. The log may grant the next ones."""
    CLOSED = "="
    """None was posted, and this relay will post none: it shuts down, so the log grants it none."""
    GRANTED = "!"
    """They were published to the relay, which may post them without a checkpoint first."""
    IN_DOUBT = "?"
    """Some were posted, or are just being posted, and may have arrived.

    Only the client knows: to post them again could repeat them, to leave them out could lose them.
    """


@dataclass(frozen=True, slots=True)
class DeliveryCheckpoint:
    """A client's progress: it has certainly received all events before `next_sequence`.

    A successor reads it before it continues a dead relay's delivery.
    """

    next_sequence: int = 0
    tail: TailState = TailState.NONE

    @property
    def certain(self) -> bool:
        """True if the client has certainly received no other event."""
        return self.tail in (TailState.NONE, TailState.CLOSED)

    def encode(self) -> bytes:
        """Return the checkpoint as Valkey keeps it: the number, then the tail's sign."""
        return b"%d%b" % (self.next_sequence, self.tail.value.encode())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote.

        A sign that this version does not know counts as "in doubt", which is always safe: the
        connection is closed, and the client resumes with the number that it has.
        """
        number = data.rstrip(b"=!?")
        try:
            return cls(int(number), TailState(data[len(number) :].decode()))
        except ValueError:
            known = bytes(takewhile(lambda byte: byte in b"0123456789", data))
            return cls(int(known or b"0"), TailState.IN_DOUBT)


def is_behind_fork(forks: str, next_sequence: int) -> bool:
    """Return whether a reader has an event that the log may have with another content.

    Parameters
    ----------
    forks : str
        `ResponseMeta.forks`; ``checkpoint.lua`` reads the same.
    next_sequence : int
        Number of the event that the reader expects next.
    """
    return any(next_sequence > int(fork.partition(":")[0]) for fork in forks.split())


NOTHING_DELIVERED = DeliveryCheckpoint()
"""The checkpoint of a response of which the client has no event."""
