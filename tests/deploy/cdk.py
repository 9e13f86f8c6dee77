"""The real ``cdk`` command on the real application, against the emulator."""

import json
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.supervision.program import OWNER_VARIABLE
from tests.deploy import environment
from tests.deploy.emulator.plan import ACCOUNT, REGION
from tests.deploy.machine import Machine
from tests.deploy.stacks import records, require_untouched, synthesized
from tests.deploy.steps import StepError, require
from tests.support.repository import ROOT

SETTINGS = Path(__file__).with_name("ministack.toml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cdk:
    """Runs it; each command's output goes to the log of that name."""

    machine: Machine

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
        records(self.machine, names=synthesized(self._output("first")))
        found: dict[str, dict[str, str]] = json.loads(outputs.read_text())
        return found

    def difference(self) -> None:
        """Synthesize again and raise StepError when the stacks differ from what is deployed."""
        self._run("diff", "diff", "--all", "--fail", *self._application("second"))

    def deploy_again(self) -> None:
        """Deploy what `difference` synthesized; StepError when that does anything to a stack."""
        names = synthesized(self._output("second"))
        require(names == synthesized(self._output("first")), f"other stacks: {names}")
        before = records(self.machine, names=names)
        said = self._run(
            "deploy-again",
            *("deploy", "--all", "--require-approval", "never"),
            *("--app", str(self._output("second"))),
        )
        changed = sorted(name for name in names if f"{name} (no changes)" not in said)
        require(not changed, f"cdk saw changes of {', '.join(changed)}")
        require_untouched(before, records(self.machine, names=names))

    def destroy(self) -> None:
        self._run("destroy", "destroy", "--all", "--force", "--app", str(self._output("second")))

    def _application(self, name: str) -> tuple[str, ...]:
        return ("-c", f"env={self._settings()}", "--output", str(self._output(name)))

    def _output(self, name: str) -> Path:
        return self.machine.folder / f"cdk.out.{name}"

    def _settings(self) -> Path:
        """Write the environment of the deployment, for the Python that the emulator has."""
        made = self.machine.folder / SETTINGS.name
        text = SETTINGS.read_text()
        python = ".".join(platform.python_version_tuple()[:2])
        made.write_text(re.sub(r'^python = ".*"$', f'python = "{python}"', text, flags=re.M))
        return made

    def _run(self, log: str, *arguments: str, folder: Path = ROOT) -> str:
        file = self.machine.log(f"cdk-{log}")
        with file.open("wb") as output:
            done = subprocess.run(
                [str(ROOT / "node_modules/.bin/cdk"), "--no-notices", "--no-color", *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                # Ctrl-C is ours to handle: what cdk has started then goes with the rest.
                start_new_session=True,
                check=False,
            )
        said = file.read_text(errors="replace")
        if done.returncode != 0:
            raise StepError(f"cdk {arguments[0]} ended with {done.returncode}: {file}")
        return said

    def _environment(self) -> dict[str, str]:
        given = environment.with_node().items()
        return {
            **{name: value for name, value in given if not name.startswith("AWS_")},
            **self.machine.aws,
            OWNER_VARIABLE: str(self.machine.folder),
            "CDK_HOME": str(self.machine.folder / "cdk.home"),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            # Checks of the templates are other tests'.
            "CDK_VALIDATION": "false",
        }
