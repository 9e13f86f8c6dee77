"""``make test-deploy``: see the package's docstring."""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.deploy import environment
from tests.deploy.cdk import Cdk
from tests.deploy.leftovers import holdings
from tests.deploy.machine import Machine, running
from tests.deploy.steps import Steps, require, tell
from tests.deploy.use import Deployment

NAME = "proof"
"""Of the environment in ministack.toml."""


def main() -> int:
    """Run the proof; keep its folder when it fails."""
    folder = Path(tempfile.mkdtemp(prefix="axon-deploy-"))
    steps = Steps()
    try:
        with steps.step("environment of the emulator, in .tools/ministack"):
            environment.ensure()
        with running(folder) as machine:
            prove(machine, steps)
    except Exception as error:
        tell(error, *sorted(folder.glob("*.log")))
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    steps.done()
    return 0


def prove(machine: Machine, steps: Steps) -> None:
    """Deploy, use, deploy again, destroy."""
    cdk = Cdk(machine=machine)
    with steps.step("cdk bootstrap"):
        cdk.bootstrap()
        empty = set(holdings(machine))
    with steps.step("cdk deploy --all"):
        outputs = cdk.deploy()
    url = outputs[f"axon-{NAME}-gateway"]["WebSocketUrl"]
    use(Deployment(machine=machine, name=NAME, url=url), steps)
    with steps.step("cdk diff: the same application is no change"):
        cdk.difference()
    with steps.step("cdk deploy --all, again: nothing is touched"):
        cdk.deploy_again(stacks=len(outputs))
    with steps.step("cdk destroy --all"):
        cdk.destroy()
    with steps.step("nothing is left"):
        left = sorted(set(holdings(machine)) - empty)
        require(not left, f"left behind: {', '.join(left)}")


def use(deployment: Deployment, steps: Steps) -> None:
    """Go through what clients do."""
    with steps.step("the first key, by axon keys"):
        key = deployment.create_key()
    with steps.step("the relay, as its task definition says"):
        deployment.start_relay()
    with steps.step("a wrong key is refused"):
        deployment.refuses_a_wrong_key()
    with steps.step("a request wakes the workers, and the worker answers it"):
        worker = deployment.wakes_for(key)
    with steps.step("a conversation, and a request that is refused"):
        responses = deployment.converses(key)
    with steps.step("its history is in PostgreSQL"):
        deployment.keeps_history(responses)
    with steps.step("a job that fails too often ends in response.failed"):
        worker.stop()
        deployment.gives_up(key)


if __name__ == "__main__":
    sys.exit(main())
