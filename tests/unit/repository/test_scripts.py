"""Every script of Valkey is measured at its maximum, and bounded by a test."""

from benchmarks.scripts.cases import CASES
from tests.support.repository import ROOT

FOLDER = ROOT / "layers/shared/python/axon/adapters/valkey/lua"


def test_scripts_have_a_case_each() -> None:
    """`test_script_bounds.py` bounds what the scripts touch, and `benchmarks` times them."""
    scripts = {path.stem for path in FOLDER.glob("*.lua") if "-- KEYS:" in path.read_text()}
    assert scripts
    assert {name for case in CASES for name in case.scripts} == scripts
