"""Beats of workers, in memory."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from axon.directory.beats import MOST_SILENT, HeldChange, HeldMessage, WorkerBeats


@dataclass
class _Held:
    version: int = 0
    messages: dict[str, HeldMessage] = field(default_factory=dict)


class FakeWorkerBeats(WorkerBeats):
    """See `axon.directory.beats.WorkerBeats`. Every call raises `fail_with`, if that is set."""

    def __init__(self) -> None:
        self.fail_with: Exception | None = None
        self._values: dict[str, str] = {}
        self._beaten_at: dict[str, float] = {}
        self._held: dict[str, _Held] = {}

    @override
    async def beat(self, incarnation: str, change: HeldChange, *, count: int) -> bool:
        self._check()
        self._set(incarnation, str(count))
        held = self._held.setdefault(incarnation, _Held())
        if held.version == change.after:
            return True
        if change.before is None:
            held.messages.clear()
        elif held.version != change.before:
            return False
        for receipt_handle in change.removed:
            held.messages.pop(receipt_handle, None)
        held.messages.update((each.receipt_handle, each) for each in change.added)
        held.version = change.after
        return True

    @override
    async def values(
        self, own: str = "", *, silent_s: float = 0.0, limit: int = MOST_SILENT
    ) -> Mapping[str, str]:
        self._check()
        now = asyncio.get_running_loop().time()
        silent = [name for name in self._values if now - self._beaten_at[name] >= silent_s]
        silent.sort(key=self._beaten_at.__getitem__)
        names = [*silent[:limit], *([own] if own in self._values else [])]
        return {name: self._values[name] for name in names}

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
        self._check()
        if self._values.get(dead) not in (seen, successor):
            return []
        held = self._held.setdefault(dead, _Held())
        for each in released:
            held.messages.pop(each.receipt_handle, None)
        if not held.messages:
            await self.leave(dead)
            return []
        self._set(dead, successor)
        return list(held.messages.values())[:limit]

    @override
    async def leave(self, incarnation: str) -> None:
        self._check()
        self._values.pop(incarnation, None)
        self._held.pop(incarnation, None)

    def lose(self) -> None:
        """Forget everything, as after FLUSHALL."""
        self._values.clear()
        self._held.clear()

    def _set(self, incarnation: str, value: str) -> None:
        self._values[incarnation] = value
        self._beaten_at[incarnation] = asyncio.get_running_loop().time()

    def _check(self) -> None:
        if self.fail_with is not None:
            raise self.fail_with
