"""The process that owns the pipeline: reads requests and writes tokens, one JSON object per line.

In: ``{"add": key, "ids": [...], "config": {...}}`` and ``{"cancel": key}``.
Out: ``{"ready": true}`` once, then ``{"tokens": [[key, ids, reason], ...]}`` after each step.
It exits when its input ends, so that it never outlives the worker.
"""

import json
import logging
import os
import select
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from worker.engines.child import claim_stdout, exit_on_hangup, ignore_signals

_READ_SIZE = 65_536


class Pipeline(Protocol):
    """The pipeline that is served; an output is ``(key, token_ids, reason)``."""

    @property
    def busy(self) -> bool:
        """Return whether there are unfinished requests."""
        ...

    def add(
        self, key: int, token_ids: Sequence[int], config: Mapping[str, Any]
    ) -> Sequence[Sequence[Any]]:
        """Queue a request; return its outputs so far, which is a failure or nothing."""
        ...

    def cancel(self, key: int) -> None:
        """Cancel a request."""
        ...

    def step(self) -> Sequence[Sequence[Any]]:
        """Generate at most one token for each request; return the outputs."""
        ...


class LineReader:
    """Reads lines from a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._incomplete = b""

    def read(self, *, block: bool) -> list[bytes] | None:
        """Return the complete lines that have arrived, None at the end of the input."""
        if not select.select([self._descriptor], [], [], None if block else 0)[0]:
            return []
        data = os.read(self._descriptor, _READ_SIZE)
        if not data:
            return None
        *lines, self._incomplete = (self._incomplete + data).split(b"\n")
        return lines


def serve(pipeline: Pipeline, lines: LineReader, send: Callable[[Mapping[str, Any]], None]) -> None:
    """Run steps while there are requests, and wait for requests otherwise, until the input ends."""
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


def main(model: str, slots: str, cache_tokens: str) -> None:
    """Load the model and serve it."""
    ignore_signals()
    logging.basicConfig(level=logging.INFO)
    exit_on_hangup(sys.stdin.fileno())
    send = claim_stdout()
    from worker.engines.openvino.pipeline import OpenVinoPipeline

    pipeline = OpenVinoPipeline(Path(model), slots=int(slots), cache_tokens=int(cache_tokens))
    pipeline.warm_up()
    send({"ready": True})
    serve(pipeline, LineReader(sys.stdin.fileno()), send)
    os._exit(0)  # there is no state to save, and freeing the model would take seconds


if __name__ == "__main__":
    main(*sys.argv[1:])
