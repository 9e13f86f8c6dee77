"""This checkout, as the tests of the repository read it."""

from tests.support.repository import ROOT
from tools.modules import ModuleTree

TREE = ModuleTree(ROOT)
