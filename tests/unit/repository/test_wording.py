"""The wording rules find what they should, and this code keeps them."""

import pytest

from tests.support.repository import ROOT
from tests.unit.repository.checkout import TREE
from tests.unit.repository.wording import Finding, findings, name_findings, script_findings

TABLE_OF_WORDS = "tests/unit/repository/"
"""The rules themselves, and the samples that break them."""


def python_files() -> list[str]:
    """Return the Python files of the repository but the rules and their samples."""
    paths = sorted(path.as_posix() for path in TREE.paths.values())
    return [path for path in paths if not path.startswith(TABLE_OF_WORDS)]


def report(path: str, found: list[Finding]) -> list[str]:
    """Return the findings of a file as lines."""
    return [f"{path}:{finding.line}: {finding.text}" for finding in found]


def test_docstrings_and_comments_keep_to_plain_english() -> None:
    wrong = [
        line
        for path in python_files()
        for line in report(path, findings((ROOT / path).read_text()))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("suffix", ["lua", "sql"])
def test_comments_of_scripts_keep_to_plain_english(suffix: str) -> None:
    scripts = sorted((ROOT / "layers/shared/python").rglob(f"*.{suffix}"))
    assert scripts
    wrong = [
        line
        for script in scripts
        for line in report(str(script.relative_to(ROOT)), script_findings(script.read_text()))
    ]
    assert not wrong, "\n".join(wrong)


def test_script_findings_name_the_line_of_a_comment() -> None:
    source = "-- insist\nlocal insist = 1\nreturn insist -- in vain"
    assert [finding.line for finding in script_findings(source)] == [1, 3]


def test_names_of_tests_have_a_subject_and_a_behaviour() -> None:
    wrong = [
        line
        for path in python_files()
        if path.startswith("tests/") and path.rpartition("/")[2].startswith("test_")
        for line in report(path, name_findings((ROOT / path).read_text()))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('"""What a relay does."""', [1]),
        ('"""Whatever a relay does."""', []),
        ('class Relay:\n    """Whether it runs."""', [2]),
        ('X = 1\n"""So many seconds."""', [2, 2]),
        ('"""Return the peers.\n\nNeighbours are peers."""', [3]),
        ("x = 1  # nobody hears it", [1]),
        ('x = "nobody hears it"', []),
        ('"""Return whether the relay is alive."""', []),
        ('def f():\n    """Insist."""\n    # in vain', [2, 3]),
    ],
)
def test_findings_name_the_line(source: str, lines: list[int]) -> None:
    assert [finding.line for finding in findings(source)] == lines


@pytest.mark.parametrize(
    ("name", "is_wrong"),
    [
        ("test_relay_posts_events", False),
        ("test_the_relay_posts_events", True),
        ("test_it_is_not_there", True),
        ("test_whatever_happens_here", True),
        ("test_relay_posts", True),
        ("helper_of_tests", False),
    ],
)
def test_name_findings_want_a_subject_and_three_words(name: str, is_wrong: bool) -> None:
    assert bool(name_findings(f"async def {name}():\n    pass\n")) is is_wrong


def test_name_findings_leave_out_methods_of_test_classes() -> None:
    assert name_findings("class TestRelay:\n    def test_resumes(self):\n        pass\n") == []
