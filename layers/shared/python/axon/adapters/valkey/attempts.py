"""Notes of attempts, in the hashes of their responses in Valkey."""

from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.event_log.attempts import AttemptNote, AttemptNotes
from axon.exceptions import FencedError, MissingResponseError


class ValkeyAttemptNotes(AttemptNotes):
    """See `axon.event_log.attempts.AttemptNotes`."""

    def __init__(self, *, valkey: Valkey) -> None:
        self._note = Script(valkey, "note_attempt", when_full=True)

    @override
    async def note(
        self, response_id: str, note: AttemptNote, *, epoch: int, incarnation: str
    ) -> None:
        outcome = await self._note(
            keys=[keys.response(response_id)], args=[epoch, note.value, incarnation]
        )
        if outcome == b"missing":
            raise MissingResponseError(f"{response_id} is not in the event log")
        if outcome == b"fenced":
            raise FencedError(f"{response_id} has a newer attempt")
