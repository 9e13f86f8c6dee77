"""Beats of workers, in Valkey."""

from collections.abc import Mapping, Sequence

from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.directory.beats import MOST_SILENT, HeldChange, HeldMessage, WorkerBeats


class ValkeyWorkerBeats(WorkerBeats):
    """See `axon.directory.beats.WorkerBeats`.

    Parameters
    ----------
    valkey : Valkey
        Connections for commands; the caller closes them.
    keep_s : int
        Seconds for which the list of a worker that does not beat any more is kept. By twice the
        visibility timeout of the queue, all its messages are visible anyway.
    """

    def __init__(self, *, valkey: Valkey, keep_s: int) -> None:
        self._valkey = valkey
        self._keep_s = keep_s
        self._beat = Script(valkey, "beat", after=("now_ms",), when_full=True)
        self._take = Script(valkey, "take_messages", after=("now_ms",), when_full=True)
        self._watch = Script(valkey, "watch_beats", after=("now_ms",), when_full=True)

    @override
    async def beat(self, incarnation: str, change: HeldChange, *, count: int) -> bool:
        answer = await self._beat(
            keys=[keys.BEATS, keys.held_messages(incarnation), keys.BEAT_TIMES],
            args=[
                incarnation,
                count,
                "" if change.before is None else change.before,
                change.after,
                self._keep_s,
                len(change.removed),
                *change.removed,
                *(part for each in change.added for part in (each.receipt_handle, each.message_id)),
            ],
        )
        return bool(answer == b"kept")

    @override
    async def values(
        self, own: str = "", *, silent_s: float = 0.0, limit: int = MOST_SILENT
    ) -> Mapping[str, str]:
        parts = await self._watch(
            keys=[keys.BEATS, keys.BEAT_TIMES], args=[own, int(silent_s * 1000), limit]
        )
        texts = [part.decode() for part in parts]
        values = zip(texts[::2], texts[1::2], strict=True)
        return {incarnation: value for incarnation, value in values if value}

    @override
    async def take(
        self,
        dead: str,
        *,
        seen: str,
        successor: str,
        released: Sequence[HeldMessage] = (),
        limit: int = 100,
    ) -> Sequence[HeldMessage]:
        parts = await self._take(
            keys=[keys.BEATS, keys.held_messages(dead), keys.BEAT_TIMES],
            args=[dead, seen, successor, limit, *(each.receipt_handle for each in released)],
        )
        texts = [part.decode() for part in parts]
        return [HeldMessage(*pair) for pair in zip(texts[::2], texts[1::2], strict=True)]

    @override
    async def leave(self, incarnation: str) -> None:
        await self._valkey.call("HDEL", keys.BEATS, incarnation)
        await self._valkey.call("ZREM", keys.BEAT_TIMES, incarnation)
        await self._valkey.call("DEL", keys.held_messages(incarnation))
