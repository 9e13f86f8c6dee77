"""Documents name files that exist, link to pages that exist, and the glossary is complete."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tools.modules import SOURCE_ROOTS

DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").glob("*.md"),
        *(ROOT / ".github").glob("*.md"),
    ]
)
FOLDERS = {
    *(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")),
    "worker",
    "relay",
    "front",
    "axon",
}
"""First parts of the paths that documents name; other words with a slash are no paths of ours."""

GENERATED = ("cdk.out", "node_modules", "build", "dist")
MADE_UP = re.compile(r"[<>*{}$ ]|\.\.\.|NAME|FOLDER")
"""Characters of a pattern or a placeholder."""

CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
FEWEST_TERMS = 40


def named_paths(text: str) -> Iterator[str]:
    """Yield what stands in backticks and names a file or folder of the repository."""
    for words in CODE.findall(FENCED.sub("", text)):
        if "/" not in words or MADE_UP.search(words):
            continue
        first = words.split("/")[0]
        if first in FOLDERS and first not in GENERATED:
            yield words.split("::")[0].rstrip("/")


def exists(name: str) -> bool:
    """Return whether a path exists, from the repository's folder or one that is imported from."""
    return any((ROOT / root / name).exists() for root in SOURCE_ROOTS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_files_that_exist(document: Path) -> None:
    missing = [name for name in named_paths(document.read_text()) if not exists(name)]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_link_to_files_and_headings_that_exist(document: Path) -> None:
    wrong = []
    for link in LINK.findall(FENCED.sub("", document.read_text())):
        target, _, heading = link.partition("#")
        if "://" in target:
            continue
        path = document.parent / target if target else document
        if not path.exists() or (heading and heading not in _headings(path)):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("see `tools/affected.py`", ["tools/affected.py"]),
        ("in `worker/pipeline/`", ["worker/pipeline"]),
        ("`tests/unit/tools/test_files.py::test_one`", ["tests/unit/tools/test_files.py"]),
        ("`application/json`, `/ping`, `s3://bucket/folder`", []),
        ("`functions/<name>/handler.py`, `tests/*/conftest.py`", []),
        ("```\n`tools/none.py`\n```", []),
    ],
)
def test_named_paths_are_those_of_the_repository(text: str, paths: list[str]) -> None:
    assert list(named_paths(text)) == paths


def test_glossary_has_a_file_for_each_term() -> None:
    rows = [
        line.strip("|").split(" | ")
        for line in (ROOT / "docs/glossary.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| term")
    ]
    assert len(rows) >= FEWEST_TERMS
    assert [row[0] for row in rows if len(row) != 3 or not list(named_paths(row[2]))] == []


def test_walkthroughs_have_a_diagram_and_a_test_for_each_failure() -> None:
    table = (ROOT / "docs/architecture.md").read_text().partition("## When something dies")[2]
    failures = [line for line in table.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    sections = (ROOT / "docs/failure-walkthroughs.md").read_text().split("\n## ")[1:]
    assert len(sections) == len(failures) - 1  # one row is the header
    for section in sections:
        assert "```mermaid\nsequenceDiagram\n" in section
        assert any(name.startswith("tests/") for name in named_paths(section))


def _headings(path: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
