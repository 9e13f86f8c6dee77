"""``make test-deploy``: see the package's docstring."""

import shutil
import signal
import sys
import tempfile
from pathlib import Path

from axon import catalog
from local.supervision.child import Child
from tests.deploy import environment
from tests.deploy.cdk import Cdk
from tests.deploy.leftovers import holdings, left, unseen
from tests.deploy.machine import Machine, running
from tests.deploy.refusals import Intruder, refuses_unknown_types
from tests.deploy.steps import Steps, require, tell
from tests.deploy.tasks import Task
from tests.deploy.use import Deployment

NAME = "proof"
"""Name of the environment in ministack.toml."""

STAYS = (f"role axon-{NAME}-gateway-WebSocketLogsRole",)
"""Left behind by design: a region has one role for the logs of all its APIs."""

INTERRUPTED = 130


def main() -> int:
    """Run the proof; keep its logs when it fails."""
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="axon-deploy-"))
    steps = Steps()
    try:
        with steps.step("environment of the emulator, in .tools/ministack"):
            environment.ensure()
        with running(folder) as machine:
            prove(machine, steps)
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        print("Interrupted; nothing is left running.", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        logs = _keep_logs(folder)
        tell(error, *logs)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    steps.done()
    return 0


def prove(machine: Machine, steps: Steps) -> None:
    """Deploy, use, deploy again, destroy."""
    cdk = Cdk(machine=machine)
    with steps.step("a resource type that nobody knows is refused"):
        refuses_unknown_types(machine)
    with steps.step("cdk bootstrap"):
        cdk.bootstrap()
        empty = holdings(machine)
    with steps.step("cdk deploy --all"):
        outputs = cdk.deploy()
        blind = unseen(empty, holdings(machine))
        require(not blind, f"deployed, but none to be seen: {', '.join(blind)}")
    url = outputs[f"axon-{NAME}-gateway"]["WebSocketUrl"]
    relay = use(Deployment(machine=machine, name=NAME, url=url), steps)
    with steps.step("what a role may not do is denied"):
        intrude(machine)
    with steps.step("cdk diff: the same application is no change"):
        cdk.difference()
    with steps.step("cdk deploy --all, again: nothing is touched"):
        cdk.deploy_again()
    with steps.step("cdk destroy --all, with a model in the bucket: nothing is left"):
        relay.stop()
        fill(machine, bucket=outputs[f"axon-{NAME}-data"]["ModelsBucket"])
        cdk.destroy()
        rest = left(empty, holdings(machine))
        unexpected = [what for what in rest if not what.startswith(STAYS)]
        require(not unexpected, f"left behind: {', '.join(unexpected)}")
        require(len(rest) == len(STAYS), f"to stay by design are {STAYS}, not {rest}")


def use(deployment: Deployment, steps: Steps) -> Child:
    """Go through what clients do; return the relay, which still runs."""
    with steps.step("the first key, by axon keys"):
        key = deployment.create_key()
    with steps.step("the relay, as its task definition says"):
        relay = deployment.start_relay()
    with steps.step("a wrong key is refused"):
        deployment.refuses_a_wrong_key()
    with steps.step("a request starts the first worker, which answers it"):
        worker = deployment.starts_a_worker_for(key)
    with steps.step("a conversation, and a request that is refused"):
        responses = deployment.converses(key)
    with steps.step("the same over HTTP, streamed by the front function; and a large input"):
        streamed, large = deployment.streams_over_http(key)
    with steps.step("a body that is uploaded first"):
        deployment.takes_an_upload(key)
    with steps.step("their history is in PostgreSQL, and nothing more in the bucket"):
        deployment.keeps_history(responses)
        deployment.keeps_history([streamed])
        deployment.keeps_history([large])
        deployment.stores_large_input(large)
    with steps.step("and goes on when Valkey has lost everything"):
        deployment.recalls(key, responses[-1])
    with steps.step("a job that fails too often ends in response.failed"):
        worker.stop()
        deployment.gives_up(key)
    return relay


def intrude(machine: Machine) -> None:
    """Try what the relay's role may not, and logins without a token."""
    task = Task.read(machine, family=f"axon-{NAME}-relay", container="relay")
    intruder = Intruder(machine=machine, task=task)
    intruder.is_kept_from_queues(f"axon-{NAME}-{catalog.HISTORY.name}")
    intruder.is_kept_from_databases(task.variables["AXON_VALKEY_IAM_USER"])


def fill(machine: Machine, *, bucket: str) -> None:
    """Put two versions of an object there: only an empty bucket can be destroyed."""
    for version in (b"1", b"2"):
        machine.client("s3").put_object(Bucket=bucket, Key="model/weights", Body=version)


def _keep_logs(folder: Path) -> list[Path]:
    """Remove all but the logs, which is hundreds of megabytes."""
    for each in folder.iterdir():
        if each.is_dir():
            shutil.rmtree(each, ignore_errors=True)
        elif each.suffix != ".log":
            each.unlink()
    return sorted(folder.iterdir())


if __name__ == "__main__":
    sys.exit(main())
