"""The directory of workers, in Valkey."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import TypeAdapter
from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.adapters.valkey.pages import PAGE
from axon.directory.workers import LEASE_S, ModelStatus, WorkerDirectory, WorkerState
from axon.formats import VERSIONS, Format, Refused, UnreadableError, check, log_refusal
from axon.jobs import ReceivedJob
from axon.rendezvous import LOAD_FACTOR

_MODELS = TypeAdapter(tuple[ModelStatus, ...])
_Row = tuple[bytes, bytes, bytes, bytes, bytes | None]
_FIELDS = ("slots", "load", "models", "format")
_CANDIDATES = 32
"""Workers that one job is offered to at most. The best come first in the conversation's order,
and these are enough for a fair mean of their loads."""
_REMEMBERED_S = 60
"""Longer than a client repeats a script whose answer it has not received."""


class ValkeyWorkerDirectory(WorkerDirectory):
    """See `axon.directory.workers.WorkerDirectory`.

    Parameters
    ----------
    valkey : Valkey
        Connections for commands; the caller closes them.
    refused : Refused
        Notified of each registration that could not be read.
    """

    def __init__(self, *, valkey: Valkey, refused: Refused = log_refusal) -> None:
        self._valkey = valkey
        self._refused = refused
        self._register = Script(valkey, "register_worker", after=("now_ms",), when_full=True)
        self._note_load = Script(valkey, "note_load", when_full=True)
        self._hand_over = Script(valkey, "hand_over", after=("now_ms",), when_full=True)

    @override
    async def register(self, worker: WorkerState, *, lease_s: float = LEASE_S) -> None:
        await self._register(
            keys=[keys.WORKERS, keys.worker(worker.worker_id)],
            args=[
                worker.worker_id,
                int(lease_s * 1000),
                worker.slots,
                worker.load,
                _MODELS.dump_json(tuple(worker.models)),
                VERSIONS[Format.REGISTRATION],
            ],
        )

    @override
    async def remove(self, worker_id: str) -> None:
        await self._valkey.call("ZREM", keys.WORKERS, worker_id)
        await self._valkey.call("DEL", keys.worker(worker_id))

    @override
    async def list(self) -> Sequence[WorkerState]:
        rows = await self._rows()
        workers = list[WorkerState]()
        for row in rows:
            # A registration that only a newer version can read is left out. To fail here would take
            # all peers away from this worker for as long as that one lives.
            try:
                workers.append(_worker(*row))
            except UnreadableError as error:
                self._refused(error)
        return sorted(workers, key=lambda worker: worker.worker_id)

    async def _rows(self) -> Sequence[_Row]:
        """Return what each live worker has registered: id, slots, load, models, version.

        Plain reads, in pages: with a thousand workers one script would block Valkey for all of
        them, each time that one of the thousand looks.
        """
        now = await self._valkey.now_ms()
        ids = await self._valkey.call("ZRANGEBYSCORE", keys.WORKERS, now, "+inf")
        rows: Sequence[_Row] = ()
        for first in range(0, len(ids), PAGE):
            page = ids[first : first + PAGE]
            read = (self._valkey.call("HMGET", keys.worker(i.decode()), *_FIELDS) for i in page)
            answers = zip(page, await asyncio.gather(*read), strict=True)
            rows = [*rows, *((i, *answer) for i, answer in answers if answer[0] is not None)]
        return rows

    @override
    async def note_load(self, worker_id: str, load: int) -> None:
        await self._note_load(keys=[keys.worker(worker_id)], args=[load])

    @override
    async def hand_over(
        self, received: ReceivedJob, *, own_id: str, order: Sequence[str], bounded: bool = True
    ) -> str:
        if not order or order[0] == own_id:
            return own_id
        order = order[:_CANDIDATES]
        worker_id: bytes = await self._hand_over(
            keys=[
                keys.WORKERS,
                keys.handed_over(received.message_id, received.receive_count),
                *map(keys.worker, order),
            ],
            args=[
                own_id,
                received.encode(),
                LOAD_FACTOR if bounded else "",
                _REMEMBERED_S,
                *order,
            ],
        )
        return worker_id.decode()


def _worker(
    worker_id: bytes, slots: bytes, load: bytes, models: bytes, version: bytes | None
) -> WorkerState:
    check(Format.REGISTRATION, int(version or 1))
    try:
        return WorkerState(
            worker_id=worker_id.decode(),
            slots=int(slots),
            load=int(load),
            models=_MODELS.validate_json(models),
        )
    except ValueError as error:
        raise UnreadableError(Format.REGISTRATION, f"that of {worker_id.decode()}") from error


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A job as it arrives; `sent_ms` by the server's clock."""

    received: ReceivedJob
    sent_ms: int

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read what the script has published.

        Raises
        ------
        UnreadableError
            It is something else, or of a higher version.
        """
        sent_ms, _, received = payload.partition(b"\n")
        if not sent_ms.isdigit():
            raise UnreadableError(Format.HANDED_OVER_JOB, "it does not begin with a time")
        return cls(received=ReceivedJob.decode(received), sent_ms=int(sent_ms))
