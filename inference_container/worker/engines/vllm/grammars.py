"""Compiling of formats as vLLM does it, in a process of its own (API of vLLM 0.32)."""

import base64
import pickle
import sys
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from worker.engines.child import claim_stdout, exit_on_hangup, ignore_signals
from worker.engines.format_checks import FormatChecks
from worker.engines.grammar_process import GrammarProcess
from worker.engines.grammar_server import GrammarLimits, serve
from worker.engines.vllm.sampling import output_constraint

_BACKENDS = ("xgrammar", "guidance")
"""Backends that vLLM chooses from by itself (`structured_outputs_config.backend` is `auto`)."""
_POLL_S = 0.002


def format_checks(vllm_config: Any, *, slots: int) -> FormatChecks:
    """Return the checks of formats for an engine with this ``VllmConfig``."""
    limits = GrammarLimits.for_vocabulary(vllm_config.model_config.get_vocab_size())
    return FormatChecks(
        GrammarProcess(
            command=(sys.executable, "-m", "worker.engines.vllm.grammars", limits.argument),
            greeting=lambda: base64.b64encode(pickle.dumps(vllm_config)),
            limits=limits,
            # It must not hold memory of the accelerator.
            environment={"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""},
        ),
        slots=slots,
    )


class GrammarCompiler:
    """Compiles a format with all that vLLM does for it, in the API server and in the engine core.

    Parameters
    ----------
    vllm_config : vllm.config.VllmConfig
        The engine's configuration.
    """

    def __init__(self, vllm_config: Any) -> None:
        from vllm.tokenizers import cached_tokenizer_from_config

        self._config = vllm_config
        self._tokenizer = cached_tokenizer_from_config(model_config=vllm_config.model_config)
        self._managers: dict[str, Any] = {}

    def __call__(self, text_format: Mapping[str, Any]) -> None:
        """Compile a format; any exception refuses it."""
        from vllm.sampling_params import SamplingParams, StructuredOutputsParams

        config = self._config
        params = SamplingParams(
            structured_outputs=StructuredOutputsParams(**output_constraint(text_format))
        )
        params.verify(
            config.model_config,
            config.speculative_config,
            config.structured_outputs_config,
            self._tokenizer,
        )
        chosen = params.structured_outputs._backend  # noqa: SLF001 - set by `verify`
        self._compile(params, chosen)
        # The engine core keeps the backend of its first request, and compiles every later format
        # with it. An error fails one request there, so only a death counts for the others.
        for other in _BACKENDS if config.structured_outputs_config.backend == "auto" else ():
            if other != chosen:
                try:
                    self._compile(params, other)
                except MemoryError:
                    raise
                except Exception:  # noqa: S112 - another format of the core's is none of this one
                    continue

    def _compile(self, params: Any, backend: str) -> None:
        from vllm.v1.structured_output import StructuredOutputManager
        from vllm.v1.structured_output.request import StructuredOutputRequest

        params.structured_outputs._backend = backend  # noqa: SLF001 - as `verify` does
        if backend not in self._managers:
            self._managers[backend] = StructuredOutputManager(self._config)
        asked = StructuredOutputRequest(params=params.structured_outputs)
        request = SimpleNamespace(
            structured_output_request=asked, sampling_params=params, request_id="format"
        )
        self._managers[backend].grammar_init(request)
        while not asked.is_grammar_ready:  # in a thread of vLLM's; nothing else runs here
            time.sleep(_POLL_S)
        if isinstance(asked.grammar, Exception):
            raise asked.grammar


def main(limits: str) -> None:
    """Serve the compiler of the configuration in the first line."""
    ignore_signals()
    send = claim_stdout()
    config = pickle.loads(base64.b64decode(sys.stdin.buffer.readline()))  # noqa: S301 - the worker's own
    exit_on_hangup(sys.stdin.fileno())
    compiler = GrammarCompiler(config)
    compiler({"type": "json_object"})  # what is loaded at the first use counts for no format
    serve(compiler, limits=GrammarLimits.of(limits), send=send)


if __name__ == "__main__":
    main(*sys.argv[1:])
