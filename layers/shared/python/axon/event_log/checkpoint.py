"""Delivery checkpoints: how far a client is known to have been told of a response."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class TailState(StrEnum):
    """What is known of the events from a checkpoint's number on; the value follows the number."""

    NONE = ""
    """None was posted."""
    CLOSED = "="
    """None was posted, nor will be by this relay."""
    GRANTED = "!"
    """They were published to the relay, which may post them without saying so first."""
    IN_DOUBT = "?"
    """Some were posted, or are just being posted, and may have arrived."""


@dataclass(frozen=True, slots=True)
class DeliveryCheckpoint:
    """How far a client is known to have been told: it has all events before `next_sequence`."""

    next_sequence: int = 0
    tail: TailState = TailState.NONE

    @property
    def certain(self) -> bool:
        """Whether it surely has no other event."""
        return self.tail in (TailState.NONE, TailState.CLOSED)

    def encode(self) -> bytes:
        """As Valkey keeps it."""
        return b"%d%b" % (self.next_sequence, self.tail.value.encode())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote."""
        number = data.rstrip(b"=!?")
        return cls(int(number), TailState(data[len(number) :].decode()))


NOTHING_DELIVERED = DeliveryCheckpoint()
"""The checkpoint of a response of which the client has no event."""
