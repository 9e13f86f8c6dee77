"""The real ``cdk`` command on the real application, against the emulator."""

import json
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.paths import ROOT
from tests.deploy import environment
from tests.deploy.emulator.plan import ACCOUNT, REGION
from tests.deploy.machine import Machine
from tests.deploy.steps import StepError, require

SETTINGS = Path(__file__).with_name("ministack.toml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cdk:
    """Runs it; each command's output goes to the log of that name."""

    machine: Machine

    @property
    def settings(self) -> Path:
        """The environment of the deployment, for the Python that the emulator has."""
        made = self.machine.folder / SETTINGS.name
        text = SETTINGS.read_text()
        python = ".".join(platform.python_version_tuple()[:2])
        made.write_text(re.sub(r'^python = ".*"$', f'python = "{python}"', text, flags=re.M))
        return made

    def bootstrap(self) -> None:
        # Outside the repository, or it would synthesise the application for nothing.
        self._run("bootstrap", "bootstrap", f"aws://{ACCOUNT}/{REGION}", folder=self.machine.folder)

    def deploy(self) -> dict[str, dict[str, str]]:
        """Deploy all stacks; return their outputs."""
        outputs = self.machine.folder / "outputs.json"
        self._run(
            "deploy",
            *("deploy", "--all", "--require-approval", "never", "--progress", "events"),
            *("--outputs-file", str(outputs), *self._application("first")),
        )
        found: dict[str, dict[str, str]] = json.loads(outputs.read_text())
        return found

    def difference(self) -> None:
        """Synthesise again and raise StepError when the stacks differ from what is deployed."""
        self._run("diff", "diff", "--all", "--fail", *self._application("second"))

    def deploy_again(self, *, stacks: int) -> None:
        """Deploy what `difference` synthesised; StepError when that changes a stack."""
        said = self._run(
            "deploy-again",
            *("deploy", "--all", "--require-approval", "never", "--app", self._output("second")),
        )
        unchanged = said.count("(no changes)")
        require(unchanged == stacks, f"{stacks - unchanged} of {stacks} stacks were changed")

    def destroy(self) -> None:
        self._run("destroy", "destroy", "--all", "--force", "--app", self._output("second"))

    def _application(self, name: str) -> tuple[str, ...]:
        return ("-c", f"env={self.settings}", "--output", self._output(name))

    def _output(self, name: str) -> str:
        return str(self.machine.folder / f"cdk.out.{name}")

    def _run(self, log: str, *arguments: str, folder: Path = ROOT) -> str:
        file = self.machine.log(f"cdk-{log}")
        own = {name: value for name, value in environment.with_node().items() if name[:4] != "AWS_"}
        with file.open("wb") as output:
            done = subprocess.run(
                [str(ROOT / "node_modules/.bin/cdk"), "--no-notices", "--no-color", *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**own, **self.machine.aws, "CDK_VALIDATION": "false"},
                check=False,
            )
        said = file.read_text(errors="replace")
        if done.returncode != 0:
            raise StepError(f"cdk {arguments[0]} ended with {done.returncode}: {file}")
        return said
