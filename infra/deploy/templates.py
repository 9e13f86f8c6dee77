"""The synthesised templates of an environment: their resources, and which are retained."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEPT = ("Retain", "RetainExceptOnCreate", "Snapshot")


@dataclass(frozen=True, kw_only=True, slots=True)
class Templates:
    """The templates in `folder`, by the names of their stacks."""

    folder: Path
    stacks: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> "Templates":
        """Read what `cdk synth` wrote."""
        stacks = {
            path.name.removesuffix(".template.json"): json.loads(path.read_text())
            for path in sorted(folder.glob("*.template.json"))
        }
        return cls(folder=folder, stacks=stacks)

    @property
    def resources(self) -> int:
        """Number of resources in all stacks together."""
        return sum(1 for _ in self._resources())

    @property
    def kept(self) -> Counter[str]:
        """The types of resources that outlive their stacks."""
        return Counter(
            resource["Type"]
            for resource in self._resources()
            if resource.get("DeletionPolicy") in KEPT
        )

    def _resources(self) -> Iterator[dict[str, Any]]:
        for template in self.stacks.values():
            yield from template.get("Resources", {}).values()
