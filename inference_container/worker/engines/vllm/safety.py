"""Trust in a model's folder: data is copied and loaded, code only if the operator allows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from worker.engines.protocol import EngineError

_PICKLES = (
    ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".h5", ".keras",
    ".msgpack", ".ot", ".tar", ".zip",
)  # fmt: skip
"""Formats that run code when they are read, or may contain such files."""
_CODE = (".py", ".pyc", ".so", ".dylib", ".dll", ".sh")
_SAFE_FORMATS = ("safetensors", "fastsafetensors", "runai_streamer", "mistral", "dummy")
"""vLLM's load formats that read safetensors alone (`mistral`: ``consolidated*.safetensors``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The operator's trust in models' folders; settings of the deployment alone.

    Parameters
    ----------
    code : bool
        Its Python may run (vLLM's `trust_remote_code`).
    pickles : bool
        Weights may be pickles, which run code when they are loaded.
    unverified : bool
        Files may be copied from S3 whose contents cannot be compared with a checksum.
    """

    code: bool = False
    pickles: bool = False
    unverified: bool = False

    def copies(self, name: str) -> bool:
        """Return whether a file of this name is copied from S3."""
        suffix = PurePosixPath(name).suffix.lower()
        return (self.pickles or suffix not in _PICKLES) and (self.code or suffix not in _CODE)

    def check(self, folder: Path, *, weights: str | None) -> None:
        """Check that a folder has weights that may be loaded.

        Parameters
        ----------
        folder : Path
            The folder of a model or an adapter.
        weights : str | None
            Pattern of the names of its safetensors; without them vLLM would look for pickles. None
            if it loads no weights.

        Raises
        ------
        EngineError
            It has no safetensors.
        """
        if weights and not self.pickles and not any(folder.glob(weights)):
            raise EngineError(
                f"{folder} has no {weights}, and other formats can run code when they are "
                "loaded: convert the weights, or allow it with AXON_ALLOW_PICKLED_WEIGHTS=true"
            )

    def check_unverified(self, where: str) -> None:
        """Check that a file may be loaded that has no checksum.

        Raises
        ------
        EngineError
            It may not.
        """
        if not self.unverified:
            raise EngineError(
                f"{where} cannot be verified: S3 has no checksum of it or its parts that a worker "
                "can compare. Upload it again (aws s3 cp), or allow it with "
                "AXON_ALLOW_UNVERIFIED_WEIGHTS=true"
            )

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the engine arguments that hold vLLM to this, for a model with other arguments.

        Raises
        ------
        EngineError
            They ask for a load format that may run code.
        """
        load_format = given.get("load_format", "auto" if self.pickles else "safetensors")
        if not self.pickles and load_format not in _SAFE_FORMATS:
            raise EngineError(
                f"load_format {load_format!r} can run code when weights are loaded: use one of "
                f"{', '.join(_SAFE_FORMATS)}, or allow it with AXON_ALLOW_PICKLED_WEIGHTS=true"
            )
        return {"load_format": load_format, "trust_remote_code": self.code}
