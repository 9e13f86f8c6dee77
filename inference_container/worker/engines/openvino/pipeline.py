"""OpenVINO's continuous-batching pipeline in JSON values, for the process that owns it."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openvino  # type: ignore[import-untyped]
import openvino_genai

_BLOCK_TOKENS = 32
"""Tokens of a block of OpenVINO's KV cache on the CPU."""
# With these the results of one request depend neither on the others in the batch nor on how its
# prompt was cut into steps, so that a continued answer equals the uninterrupted one.
_REPRODUCIBLE = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}

logger = logging.getLogger(__name__)


class Output(NamedTuple):
    """New tokens of one request; `reason` with the last ones: stop, length or failed."""

    key: int
    token_ids: Sequence[int]
    reason: str | None


class OpenVinoPipeline:
    """Runs up to `slots` requests in one batch; its KV cache holds `cache_tokens` tokens."""

    def __init__(self, model: Path, *, slots: int, cache_tokens: int) -> None:
        scheduling = openvino_genai.SchedulerConfig()
        scheduling.max_num_seqs = slots
        scheduling.num_kv_blocks = cache_tokens // _BLOCK_TOKENS
        # The next turn of a conversation begins with the whole of this one.
        scheduling.enable_prefix_caching = True
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(
            str(model), scheduling, "CPU", _REPRODUCIBLE
        )
        self._handles: dict[int, Any] = {}

    def warm_up(self) -> None:
        """Generate one token, so that the first request need not wait for compiled kernels."""
        self.add(0, [1], {"max_new_tokens": 1})
        while self.busy:
            self.step()

    @property
    def busy(self) -> bool:
        """Return whether there are unfinished requests."""
        return bool(self._pipeline.has_non_finished_requests())

    def add(self, key: int, token_ids: Sequence[int], config: Mapping[str, Any]) -> list[Output]:
        """Queue a request; return its failure if it is refused at once."""
        stop_token_ids = set(config.get("stop_token_ids", ()))
        try:
            self._handles[key] = self._pipeline.add_request(
                key,
                openvino.Tensor(np.array([token_ids], dtype=np.int64)),
                openvino_genai.GenerationConfig(**{**config, "stop_token_ids": stop_token_ids}),
            )
        except RuntimeError:
            logger.exception("the pipeline refused a request")
            return [Output(key, (), "failed")]
        return []

    def cancel(self, key: int) -> None:
        """Cancel a request; the next step frees its place in the batch."""
        handle = self._handles.pop(key, None)
        if handle is not None:
            handle.cancel()

    def step(self) -> list[Output]:
        """Generate at most one token for each running request."""
        self._pipeline.step()
        return list(self._outputs())

    def _outputs(self) -> Iterator[Output]:
        for key, handle in list(self._handles.items()):
            token_ids: list[int] = []
            reason = None
            while handle.can_read():
                for output in handle.read().values():
                    token_ids += output.generated_ids
                    reason = output.finish_reason
            ended = handle.get_status() != openvino_genai.GenerationStatus.RUNNING
            if ended:
                del self._handles[key]
            if ended or token_ids:
                yield Output(key, token_ids, _reason_name(reason) if ended else None)


def _reason_name(reason: Any) -> str:
    reasons = openvino_genai.GenerationFinishReason
    return {reasons.STOP: "stop", reasons.LENGTH: "length"}.get(reason, "failed")
