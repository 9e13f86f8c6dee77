"""The options of `axon dev`."""

from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalCloudError
from local.services.wheels import program_in
from local.stack.topology import ENGINES


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options of `axon dev`.

    Parameters
    ----------
    engine : str
        Name of the engine of the workers.
    port : int
        Port of the gateway.
    data : Path
        Folder of the local cloud's files.
    workers : int
        Number of worker processes.
    relays : int
        Number of relay processes.
    ephemeral : bool
        Keep the servers' data in a temporary folder.
    model : Path | None
        Folder of the model that vLLM loads.
    python : Path | None
        Interpreter that has vLLM.
    allowed_hosts : tuple[str, ...]
        Further names that clients may call this machine by, in lower case.
    """

    engine: str
    port: int
    data: Path
    workers: int
    relays: int
    ephemeral: bool
    model: Path | None = None
    python: Path | None = None
    allowed_hosts: tuple[str, ...] = ()

    @property
    def model_name(self) -> str:
        """The model's name in requests."""
        return self.model.resolve().name if self.model else ENGINES[self.engine].model

    def check(self) -> None:
        """Check the engine and its model.

        Raises
        ------
        LocalCloudError
            The engine is unknown or not installed, or its model is missing.
        """
        if self.engine not in ENGINES:
            raise LocalCloudError(
                f"no engine {self.engine!r}; there are {', '.join(sorted(ENGINES))}"
            )
        if (self.engine == "vllm") != (self.model is not None):
            raise LocalCloudError("--engine vllm and --model (a folder) go together")
        if self.model and not (self.model / "config.json").is_file():
            raise LocalCloudError(f"{self.model} is no model: it has no config.json")
        for package, pattern in ENGINES[self.engine].needs:
            program_in(package, pattern, extra="openvino")
