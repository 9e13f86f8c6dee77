"""A pipeline without a model, and the process that serves it.

An answer repeats its ids, one a step, and stops; COUNT is answered with how many answers run.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from worker.engines.child import claim_stdout
from worker.engines.openvino.server import LineReader, serve

CRASH, REFUSE, ENDLESS, COUNT, DIE_LOADING = 900, 901, 902, 903, "die"


class ScriptedPipeline:
    def __init__(self) -> None:
        self.steps = 0
        self._answers: dict[int, list[int]] = {}

    @property
    def busy(self) -> bool:
        return bool(self._answers)

    def add(
        self, key: int, token_ids: Sequence[int], config: Mapping[str, Any]
    ) -> Sequence[Sequence[Any]]:
        if token_ids[0] == REFUSE:
            return [(key, (), "failed")]
        self._answers[key] = list(token_ids)
        return []

    def cancel(self, key: int) -> None:
        self._answers.pop(key, None)

    def step(self) -> Sequence[Sequence[Any]]:
        self.steps += 1
        return [self._next(key, rest) for key, rest in list(self._answers.items())]

    def _next(self, key: int, rest: list[int]) -> Sequence[Any]:
        if rest[0] == CRASH:
            raise RuntimeError("the step failed")
        if rest[0] == ENDLESS:
            return (key, [ENDLESS], None)
        token_id = rest.pop(0)
        if token_id == COUNT:
            token_id = len(self._answers)
        if rest:
            return (key, [token_id], None)
        del self._answers[key]
        return (key, [token_id], "stop")


def main() -> None:
    send = claim_stdout()
    print("what a library prints must not be taken for a message")
    if DIE_LOADING in sys.argv:
        sys.exit(3)
    send({"ready": True})
    serve(ScriptedPipeline(), LineReader(sys.stdin.fileno()), send)


if __name__ == "__main__":
    main()
