"""A Dockerfile as tests read it: its stages and instructions, with arguments substituted."""

import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Stage:
    """A ``FROM`` and what follows it: keyword and value of each instruction."""

    image: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        """Return the values of every instruction of this kind."""
        return [value for found, value in self.instructions if found == keyword]

    def command(self, keyword: str) -> list[str]:
        """Return the only instruction of this kind, in its JSON form, as a list."""
        (value,) = self.all(keyword)
        command: list[str] = json.loads(value[value.index("[") :])
        return command

    @property
    def environment(self) -> dict[str, str]:
        """Return what ENV sets."""
        return dict(pair.split("=", 1) for value in self.all("ENV") for pair in value.split())

    @property
    def copies(self) -> list[tuple[str, str]]:
        """Return (source, destination) of what is copied from the build context."""
        plain = [value.split() for value in self.all("COPY") if "--from=" not in value]
        return [(source, words[-1]) for words in plain for source in words[:-1]]


@dataclass
class Dockerfile:
    """A parsed Dockerfile; the last stage is the image."""

    path: Path
    stages: list[Stage]

    @classmethod
    def read(cls, name: str) -> "Dockerfile":
        """Parse a file, given relative to the repository root."""
        path = ROOT / name
        text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
        defaults: dict[str, str] = {}
        stages: list[Stage] = []
        for line in re.sub(r"\\\n\s*", "", text).splitlines():
            keyword, _, value = line.strip().partition(" ")
            if keyword == "ARG" and "=" in value:
                defaults.update([value.split("=", 1)])  # type: ignore[list-item]
            for name, default in defaults.items():
                value = value.replace(f"${{{name}}}", default)
            if keyword == "FROM":
                words = [word for word in value.split() if not word.startswith("--")]
                stages.append(Stage(image=words[0]))
            elif stages and keyword:
                stages[-1].instructions.append((keyword, value.strip()))
        return cls(path=path, stages=stages)

    @property
    def image(self) -> Stage:
        """The stage that is kept."""
        return self.stages[-1]

    @property
    def python(self) -> str:
        """Minor version of the interpreter of the image."""
        return str(re.findall(r"python:(\d+\.\d+)", self.image.image)[0])

    def ignored(self, path: str) -> bool:
        """Return whether the build context leaves this path out."""
        ignored = False
        for pattern in (
            self.path.with_name(self.path.name + ".dockerignore").read_text().split("\n")
        ):
            if not pattern or pattern.startswith("#"):
                continue
            keeps = pattern.startswith("!")
            glob = pattern.lstrip("!").removeprefix("**/")
            parents = [path, *map(str, Path(path).parents)]
            if any(fnmatch(part, glob) or fnmatch(Path(part).name, glob) for part in parents):
                ignored = not keeps
        return ignored
