"""Beats of workers, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from axon.directory.beats import HeldChange, HeldMessage, WorkerBeats


@dataclass
class _Held:
    version: int = 0
    messages: dict[str, HeldMessage] = field(default_factory=dict)


class FakeWorkerBeats(WorkerBeats):
    """See `axon.directory.beats.WorkerBeats`. Every call raises `fail_with`, if that is set."""

    def __init__(self) -> None:
        self.fail_with: Exception | None = None
        self._values: dict[str, str] = {}
        self._held: dict[str, _Held] = {}

    @override
    async def beat(self, incarnation: str, change: HeldChange, *, count: int) -> bool:
        self._check()
        self._values[incarnation] = str(count)
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
    async def values(self) -> Mapping[str, str]:
        self._check()
        return dict(self._values)

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
        self._values[dead] = successor
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

    def _check(self) -> None:
        if self.fail_with is not None:
            raise self.fail_with
