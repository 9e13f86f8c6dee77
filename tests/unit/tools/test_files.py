"""Faults that `tools.files` finds."""

from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tools.files import LONGEST_BYTES, LONGEST_LINES, faults


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        ("a.py", b"x = 1\n", None),
        ("a.py", b"", None),
        ("a.md", b"one  \ntwo\n", None),
        ("a.png", b"\0 no text ", None),
        ("a.toml", b"x = 1\n" * (LONGEST_LINES + 1), None),
        ("a.lua", b"x = 1\n\n", None),
        ("a.py", b"x = 1", "must end with a line break"),
        ("a.py", b"x = 1 \n", "1: spaces at the end of the line"),
        ("a.py", b"x = 1\r\n", "1: spaces at the end of the line"),
        ("a.py", b"x = 1\n" * LONGEST_LINES, None),
        ("a.py", b"x = 1\n" * (LONGEST_LINES + 1), "more than 400 lines"),
        ("a.bin", b"\0" * (LONGEST_BYTES + 1), "1048577 bytes, more than 1048576"),
    ],
)
def test_faults_name_file_and_fault(
    tmp_path: Path, name: str, data: bytes, fault: str | None
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    found = list(faults(path))
    assert len(found) == (fault is not None)
    assert all(line.startswith(str(path)) and line.endswith(str(fault)) for line in found)


def test_faults_of_the_tools_themselves_are_none() -> None:
    assert [fault for path in (ROOT / "tools").glob("*.py") for fault in faults(path)] == []
