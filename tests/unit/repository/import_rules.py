"""Rules about imports, and how their violations are found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.modules import ModuleTree


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRule:
    """Says what some modules must not import; a name stands for the module and all inside it.

    Parameters
    ----------
    text : str
        The rule in words, for the message about a violation.
    importers : Sequence[str]
        The modules that the rule is for.
    forbidden : Sequence[str]
        What they must not import, from this repository or another project.
    exempt : Sequence[str]
        Importers that the rule is not for.
    """

    text: str
    importers: Sequence[str]
    forbidden: Sequence[str]
    exempt: Sequence[str] = ()

    def violations(self, tree: ModuleTree) -> Iterator[str]:
        """Yield file, line, import and rule of each import that breaks the rule."""
        for name in sorted(tree.paths):
            if not is_in(name, self.importers) or is_in(name, self.exempt):
                continue
            for target, line in tree.imported_names[name]:
                if is_in(target, self.forbidden) and not _is_own(name, target):
                    yield f"{tree.paths[name]}:{line}: imports {target}, but {self.text}"


def is_in(module: str, packages: Sequence[str]) -> bool:
    """Return whether a module is one of these or inside one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _is_own(importer: str, target: str) -> bool:
    """Return whether both are in the same Lambda function's folder."""
    own = importer.split(".")[:2]
    return own[0] == "functions" and target.split(".")[:2] == own
