"""Measures what each call costs Valkey: its own time, the commands of a script, the bytes."""

import asyncio
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from axon.adapters.valkey.client import Valkey

_SCRIPTS = ("EVAL", "EVALSHA")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of one call.

    Parameters
    ----------
    command : str
        The command's name.
    commands : int
        Commands that the server has run, those of a script included.
    bytes : int
        Bytes of the call's arguments and of its answer.
    ms : float
        Time of the server, during which it serves nobody else.
    """

    command: str
    commands: int
    bytes: int
    ms: float

    @property
    def script(self) -> bool:
        """True for a script, False for a plain command."""
        return self.command in _SCRIPTS


class MeasuringValkey(Valkey):
    """Runs one call at a time, and asks the server before and after it what it has done."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.costs: list[Cost] = []
        self.measuring = False
        self._turn = asyncio.Lock()

    @override
    async def call(self, *command: Any) -> Any:
        if not self.measuring:
            return await super().call(*command)
        async with self._turn:
            name = str(command[0])
            before = await self._spent(name)
            answer = await super().call(*command)
            after = await self._spent(name)
        # A busy machine interrupts the server, which makes its clock's time too long; the
        # processor's time includes the question. The smaller one is the better bound.
        ms = min(after.clock_ms - before.clock_ms, after.processor_ms - before.processor_ms)
        self.costs.append(
            Cost(
                command=name,
                commands=after.commands - before.commands - 1,  # the question before
                bytes=sum(map(_size, command)) + _size(answer),
                ms=ms,
            )
        )
        return answer

    async def _spent(self, name: str) -> "_Spent":
        stats = await super().call("INFO", "commandstats", "cpu")
        kinds = {kind: of for kind, of in stats.items() if kind.startswith("cmdstat_")}
        seconds = (stats[f"used_cpu_{part}_main_thread"] for part in ("user", "sys"))
        return _Spent(
            commands=sum(of["calls"] for of in kinds.values()),
            clock_ms=kinds.get(f"cmdstat_{name.lower()}", {"usec": 0})["usec"] / 1000,
            processor_ms=sum(seconds) * 1000,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spent:
    """Totals of the server: commands, the time of one kind of command, the processor's time."""

    commands: int
    clock_ms: float
    processor_ms: float


def _size(value: Any) -> int:
    match value:
        case bytes() | str():
            return len(value)
        case list() | tuple() | set():
            return sum(map(_size, value))
        case dict():
            return sum(_size(key) + _size(item) for key, item in value.items())
        case _:
            return 8
