"""``python -m tests.deploy.emulator PLAN``: serve until killed."""

import sys
import tempfile
from pathlib import Path

from tests.deploy.emulator import (
    buckets,
    databases,
    functions,
    hosts,
    layers,
    names,
    permissions,
    polls,
    refused,
)
from tests.deploy.emulator.doors import Doors
from tests.deploy.emulator.ministack import app
from tests.deploy.emulator.plan import Plan


def main() -> None:
    """Put ours around ministack, then run it."""
    plan = Plan.read(Path(sys.argv.pop()))
    refused.register()
    buckets.register()
    databases.register(plan)
    layers.share(Path(tempfile.mkdtemp(prefix="layers-")))
    functions.trust(plan.authorities)
    functions.answer_unauthorized()
    names.know_apis()
    names.count_as_tls()
    permissions.as_aws_checks()
    hosts.serve_tasks()
    polls.end_with_clients()
    Doors(plan).start()
    app.main()


if __name__ == "__main__":
    main()
