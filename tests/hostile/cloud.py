"""A local cloud whose Valkey has little memory, with two tenants."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from local.ports import Ports
from local.stack.addresses import Addresses
from local.stack.bootstrap import create_key
from local.stack.cloud import startup_tasks
from local.stack.configurations import API_KEY
from local.stack.folders import Folders
from local.stack.options import Options
from local.stack.program_builder import ProgramBuilder
from local.supervision.guardian import Guardian
from local.supervision.run_files import claimed
from local.supervision.supervisor import Supervisor

HOSTILE_KEY = "sk-axon-hostile"
SETTINGS = {
    "AXON_ECHO_TTFT_MS": "20",
    "AXON_ECHO_TOKEN_MS": "10",
    "AXON_SLOTS": "128",
    "AXON_QUEUE_DEADLINE_S": "60",
    "AXON_NO_PROGRESS_DEADLINE_S": "60",
    "AXON_RESUME_WINDOW_S": "10",
}


@dataclass(frozen=True, kw_only=True)
class HostileCloud:
    """A running cloud; `names` are those of its programs."""

    folders: Folders
    addresses: Addresses
    names: tuple[str, ...]

    @property
    def url(self) -> str:
        """URL for WebSocket clients."""
        return self.addresses.base_url.replace("http://", "ws://") + "/responses"

    @property
    def key(self) -> str:
        """The key of the tenant that asks normally."""
        return API_KEY

    def pids(self) -> dict[str, int]:
        """Return the process ids of the programs that run."""
        found = {}
        for name in self.names:
            file = self.folders.run_files.pid_file(name)
            if file.exists() and (text := file.read_text().strip()):
                found[name] = int(text)
        return found


@asynccontextmanager
async def running_cloud(
    root: Path, *, memory_mb: int, retention_s: int, say: Callable[[str], None]
) -> AsyncIterator[HostileCloud]:
    """Run one in `root`; the output of its processes is in `root`/log."""
    async with AsyncExitStack() as stack:
        root.mkdir(parents=True, exist_ok=True)
        folders = Folders(root=root, storage=root)
        folders.make()
        stack.enter_context(claimed(folders.run_files))
        stack.enter_context(Guardian(owner=folders.run_files.owner))
        ports = stack.enter_context(Ports())
        chosen = Addresses.choose(
            ports=ports, folders=folders, client_port=ports.reserve(), persistent=False
        )
        addresses = replace(chosen, valkey=replace(chosen.valkey, memory_mb=memory_mb))
        options = Options(
            engine="echo",
            port=addresses.client_port,
            data=root,
            workers=2,
            relays=2,
            ephemeral=False,
        )
        programs = ProgramBuilder(
            addresses=addresses,
            folders=folders,
            options=options,
            ports=ports,
            environ={**os.environ, **SETTINGS, "AXON_RETENTION_S": str(retention_s)},
        ).build()
        supervisor = Supervisor(
            files=folders.run_files, steps=[*programs, *startup_tasks(addresses)], announce=say
        )
        stack.push_async_callback(supervisor.stop)
        await supervisor.start()
        await create_key(
            dsn=addresses.postgres.dsn(),
            valkey_url=addresses.valkey.url,
            secret=HOSTILE_KEY,
            tenant_id="hostile",
        )
        yield HostileCloud(
            folders=folders,
            addresses=addresses,
            names=tuple(program.name for program in programs),
        )
