"""A folder with a few modules, as the tools see a checkout."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from tools.modules import ModuleTree


def make_tree(root: Path, files: Mapping[str, str]) -> ModuleTree:
    """Write the files, by their path below the root, and return them as a checkout."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return ModuleTree(root)
