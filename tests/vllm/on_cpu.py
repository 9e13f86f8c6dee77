"""vLLM on a machine without a GPU."""

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.vllm.tiny import make_adapter, make_model

ON_CPU = {
    "block_size": 32,
    "enforce_eager": True,
    "kv_cache_memory_bytes": 2**26,
    "dtype": "float32",
    "max_model_len": 1024,
}
"""Arguments of the engine: small, exact in its cache, and nothing compiled."""
EVERYTHING = {**ON_CPU, "scheduling_policy": "priority", "enable_lora": True, "max_loras": 2}
"""All that a CPU can show."""
NO_BLANKS = {"structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True}}
"""A model without sense would never end the blanks that JSON permits."""
ADAPTERS = ("pirate", "poet")


@cache
def tiny_model() -> Path:
    """Return the folder of the tiny model; it goes when this process does."""
    return make_model(_temporary() / "model")


@cache
def tiny_adapters() -> Mapping[str, str]:
    """Return LoRA adapters for the tiny model."""
    folder = _temporary()
    return {name: str(make_adapter(folder / name, seed=n)) for n, name in enumerate(ADAPTERS)}


def _temporary() -> Path:
    folder = tempfile.mkdtemp(prefix="axon-tiny-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
