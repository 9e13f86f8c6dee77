"""Waits until the workers have applied a change of a model, and prints their progress."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from cli.dlq.message import printable
from cli.errors import CommandError
from cli.functions import Function

POLL_EVERY_S = 1.0
_WAITING = "waiting"
_MAX_NAMES = 20


def follow(function: Function, changed: Mapping[str, Any], *, timeout_s: float) -> str:
    """Wait until every worker has applied the change; return one line about the result.

    Raises
    ------
    CommandError
        A worker failed, the time was not enough, or the model was changed again.
    """
    progress = Progress(changed["model"])
    progress.see(changed["model"], changed["workers"])
    until = time.monotonic() + timeout_s
    while not progress.done:
        if time.monotonic() >= until:
            raise CommandError(progress.too_late(timeout_s), code=1)
        time.sleep(POLL_EVERY_S)
        try:
            answer = function.ask(action="list")
        except CommandError as error:  # may be unavailable for a moment only: keep waiting
            progress.report(function.name, str(error))
        else:
            (model,) = (each for each in answer["models"] if each["name"] == progress.name)
            progress.see(model, answer["workers"])
    return progress.ended


class Progress:
    """State of a change on each worker; prints what is new."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        self.name: str = model["name"]
        self._version: int = model["version"]
        self._goal = "unloaded" if model["wanted"] is None else "serving"
        self._served_as: Sequence[str] = ()
        self._states: dict[str, str] = {}
        self._printed: dict[str, str] = {}

    @property
    def done(self) -> bool:
        """True when all running workers have applied the change."""
        return all(state == self._goal for state in self._states.values())

    @property
    def ended(self) -> str:
        """One line about the result, once `done`."""
        if self._goal == "unloaded":
            return f"{self.name} is unloaded"
        if not self._states:
            return f"{self.name} is loaded when a request starts a worker: none runs now"
        served = f"{self.name} is served by {_workers(len(self._states))}"
        return f"{served} as {_listed(self._served_as)}" if self._served_as else served

    def see(self, model: Mapping[str, Any], workers: Sequence[str]) -> None:
        """Look at the model as it is now.

        Raises
        ------
        CommandError
            A worker failed, or the model was changed again.
        """
        if model["version"] != self._version:
            raise CommandError(
                f"{self.name} was changed again, to version {model['version']}", code=1
            )
        # Functions of the version before do not say it.
        self._served_as = model.get("served_as", ())
        self._states = {each: self._state(model["states"].get(each)) for each in workers}
        for worker_id, state in self._states.items():
            self.report(worker_id, state)
        for worker_id, each in model["states"].items():
            if each["state"] == "failed" and each["version"] == self._version:
                raise CommandError(
                    printable(f"{worker_id} cannot serve {self.name}: {each['reason']}"), code=1
                )

    def report(self, who: str, what: str) -> None:
        """Print a line about a worker, unless it was the last one printed."""
        if self._printed.get(who, _WAITING) != what:
            print(printable(f"{who}: {what}"), file=sys.stderr, flush=True)
        self._printed[who] = what

    def too_late(self, timeout_s: float) -> str:
        """Return the message when the time was not enough."""
        done = sum(state == self._goal for state in self._states.values())
        return (
            f"after {timeout_s:g} s {self.name} is {self._goal} on {done} of "
            f"{_workers(len(self._states))}; they go on: axon models list"
        )

    def _state(self, has: Mapping[str, Any] | None) -> str:
        if self._goal == "unloaded":
            if has is None:
                return "unloaded"
            # Still serving: the worker has not been notified of the change yet.
            return _WAITING if has["state"] == "serving" else "unloading"
        if has is None or has["version"] < self._version:
            return _WAITING
        return str(has["state"])


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(printable, names[:_MAX_NAMES]))
    more = len(names) - _MAX_NAMES
    return f"{shown} and {more} more: axon models list" if more > 0 else shown


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"
