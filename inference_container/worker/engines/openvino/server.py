"""The process that owns the pipeline: requests in, tokens out, one JSON object a line.

In: ``{"add": key, "ids": [...], "config": {...}}`` and ``{"cancel": key}``.
Out: ``{"ready": true}`` once, then ``{"tokens": [[key, ids, reason], ...]}`` after each step.
It ends when its input does, so it never outlives the worker.
"""

import json
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

_READ_SIZE = 65_536


class Pipeline(Protocol):
    """What is served; an output is ``(key, token_ids, reason)``."""

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        ...

    def add(
        self, key: int, token_ids: Sequence[int], config: Mapping[str, Any]
    ) -> Sequence[Sequence[Any]]:
        """Queue a request; return what is to say about it already."""
        ...

    def cancel(self, key: int) -> None:
        """End a request."""
        ...

    def step(self) -> Sequence[Sequence[Any]]:
        """Generate, and return the outputs."""
        ...


class Lines:
    """The lines that arrive at a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._incomplete = b""

    def read(self, *, block: bool) -> list[bytes] | None:
        """Return the complete lines that are there, or None at the end."""
        if not select.select([self._descriptor], [], [], None if block else 0)[0]:
            return []
        data = os.read(self._descriptor, _READ_SIZE)
        if not data:
            return None
        *lines, self._incomplete = (self._incomplete + data).split(b"\n")
        return lines


def serve(pipeline: Pipeline, lines: Lines, send: Callable[[Mapping[str, Any]], None]) -> None:
    """Step while there is work, and sleep while there is none, until the input ends."""
    while (arrived := lines.read(block=not pipeline.busy)) is not None:
        outputs = [output for line in arrived for output in _apply(pipeline, json.loads(line))]
        if pipeline.busy:
            outputs += pipeline.step()
        if outputs:
            send({"tokens": outputs})


def _apply(pipeline: Pipeline, message: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    if "add" in message:
        return pipeline.add(message["add"], message["ids"], message["config"])
    pipeline.cancel(message["cancel"])
    return ()


def sender() -> Callable[[Mapping[str, Any]], None]:
    """Take standard output for messages alone: what libraries print goes to standard error."""
    descriptor = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(message: Mapping[str, Any]) -> None:
        os.write(descriptor, json.dumps(message, separators=(",", ":")).encode() + b"\n")

    return send


def end_with(descriptor: int) -> None:
    """End this process when the other end of the descriptor closes, even while a model loads."""
    closing = select.poll()
    closing.register(descriptor, 0)  # a hang-up is reported unasked

    def watch() -> None:
        closing.poll()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def main(model: str, slots: str, cache_tokens: str) -> None:
    """Load the model and serve it."""
    # A terminal's or a supervisor's signal goes to the whole group; the worker decides when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO)
    end_with(sys.stdin.fileno())
    send = sender()
    from worker.engines.openvino.pipeline import OpenVinoPipeline

    pipeline = OpenVinoPipeline(Path(model), slots=int(slots), cache_tokens=int(cache_tokens))
    pipeline.warm_up()
    send({"ready": True})
    serve(pipeline, Lines(sys.stdin.fileno()), send)
    os._exit(0)  # there is nothing to save, and freeing the model in order takes seconds


if __name__ == "__main__":
    main(*sys.argv[1:])
