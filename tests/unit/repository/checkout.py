"""This checkout, as the tests of the repository read it."""

from pathlib import Path

from tools.modules import ModuleTree

ROOT = Path(__file__).resolve().parents[3]
TREE = ModuleTree(ROOT)
