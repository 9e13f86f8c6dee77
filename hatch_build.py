"""Build hook of the wheel: adds what `axon dev` reads from the repository in a checkout."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLE = ("functions", "package.json", "package-lock.json")
"""Files and folders that `local/installation.py` expects in ``local/bundle``."""


class BundleHook(BuildHookInterface):
    """Adds the bundle to wheels, but not to editable installations: those have the repository."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the bundle; `version` is ``standard`` or ``editable``."""
        if version == "standard":
            root = Path(self.root)
            build_data["force_include"] |= {
                str(root / name): f"local/bundle/{name}" for name in BUNDLE
            }
