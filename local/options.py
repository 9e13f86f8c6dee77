"""What a person chooses when starting a local cloud."""

from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalCloudError
from local.topology import ENGINES
from local.wheels import program_in


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The arguments of `axon dev`."""

    engine: str
    port: int
    data: Path
    workers: int
    relays: int
    ephemeral: bool

    def check(self) -> None:
        """Raise LocalCloudError for an engine that is unknown or not installed."""
        if self.engine not in ENGINES:
            raise LocalCloudError(
                f"no engine {self.engine!r}; there are {', '.join(sorted(ENGINES))}"
            )
        for package, pattern in ENGINES[self.engine].needs:
            program_in(package, pattern)
