"""Checks files before a commit: ``python -m tools.files FILE...``.

A text file ends with a line break and has no spaces at the end of a line. Code has at most 400
lines. No file has more than 1 MiB.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

LONGEST_BYTES = 1024 * 1024
LONGEST_LINES = 400
CODE = {".py", ".lua", ".sql", ".mjs", ".js", ".css", ".html"}
KEEPS_SPACES = {".md"}
"""In Markdown, two spaces at the end of a line are a line break."""


def faults(path: Path) -> Iterator[str]:
    """Yield what is wrong with a file: its name, the line if there is one, and the fault."""
    data = path.read_bytes()
    if len(data) > LONGEST_BYTES:
        yield f"{path}: {len(data)} bytes, more than {LONGEST_BYTES}"
        return
    if b"\0" in data:  # no text
        return
    lines = data.split(b"\n")
    if lines[-1]:
        yield f"{path}: must end with a line break"
    if path.suffix not in KEEPS_SPACES:
        yield from (
            f"{path}:{number}: spaces at the end of the line"
            for number, line in enumerate(lines, 1)
            if line.rstrip() != line
        )
    if path.suffix in CODE and len(lines) - 1 > LONGEST_LINES:
        yield f"{path}: more than {LONGEST_LINES} lines"


def main() -> None:
    """Print the faults of the files that the command line names; exit with 1 if there are any."""
    found = [fault for name in sys.argv[1:] for fault in faults(Path(name))]
    for fault in found:
        print(fault, file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
