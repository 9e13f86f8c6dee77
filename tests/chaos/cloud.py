"""A local cloud with a fault proxy between each process and the servers that it uses."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import psutil
from typing_extensions import override

from local.ports import LOOPBACK, Ports
from local.services.queues import QUEUES, Queue
from local.services.valkey import Valkey
from local.stack.addresses import Addresses
from local.stack.cloud import startup_tasks
from local.stack.configurations import API_KEY
from local.stack.folders import Folders
from local.stack.options import Options
from local.stack.program_builder import ProgramBuilder
from local.supervision.guardian import Guardian
from local.supervision.program import Program
from local.supervision.run_files import claimed
from local.supervision.supervisor import Supervisor
from tests.chaos.answers import RESUME_WINDOW_S
from tests.chaos.control import FILE_VARIABLE, Control
from tests.chaos.pair import ValkeyPair
from tests.chaos.proxy import FaultProxy
from tests.chaos.tokens import FOLDER_VARIABLE

VISIBILITY_S = 3
HISTORY_VISIBILITY_S = 4
DEADLINE_S = 75
ENGINE_STALL_S = 4
SETTINGS = {
    "AXON_ECHO_TTFT_MS": "30",
    "AXON_ECHO_TOKEN_MS": "20",
    "AXON_SLOTS": "48",
    "AXON_VISIBILITY_TIMEOUT_S": str(VISIBILITY_S),
    "AXON_NO_WORKER_DEADLINE_S": str(DEADLINE_S),
    "AXON_QUEUE_DEADLINE_S": str(DEADLINE_S),
    "AXON_NO_PROGRESS_DEADLINE_S": str(DEADLINE_S),
    "AXON_RESPONSE_DEADLINE_S": str(DEADLINE_S),  # for a version that does not know the others
    "AXON_RESUME_WINDOW_S": str(RESUME_WINDOW_S),
    "AXON_RETENTION_S": "7200",  # longer than a run: its logs are read in the end
}
FUNCTIONS = "lambda"
"""Stands for all functions where a process is named."""
HARNESS = "harness"
"""The user of the proxy to Valkey that no fault concerns."""
RELAYS = ("relay-0", "relay-1")
WORKERS = ("worker-0", "worker-1")
SERVERS = ("valkey", "postgres", "fauxqs")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxiedAddresses(Addresses):
    """The servers' own addresses, yet in environment variables those of one user's proxies."""

    proxied: Mapping[int, int] = field(default_factory=dict)

    @override
    def variables(self, names: Iterable[str]) -> dict[str, str]:
        # Not `super()`: a dataclass with slots is another class than the one it was written as.
        found = Addresses.variables(self, names)
        return {name: redirect(value, self.proxied) for name, value in found.items()}


def redirect(value: str, ports: Mapping[int, int]) -> str:
    """Return an address with its port replaced."""
    for port, other in ports.items():
        value = value.replace(f"127.0.0.1:{port}", f"127.0.0.1:{other}")
    return value


@dataclass(frozen=True, kw_only=True)
class ChaosCloud:
    """A running cloud. `proxies` are by user and server, `controls` by relay or worker."""

    folders: Folders
    addresses: Addresses
    proxies: Mapping[tuple[str, str], FaultProxy]
    pair: ValkeyPair
    controls: Mapping[str, Control]
    health_ports: Mapping[str, int]
    tokens: Path
    api_key: str = API_KEY

    def pid(self, name: str) -> int | None:
        """Return the process id of a program that runs."""
        try:
            pid = int(self.folders.run_files.pid_file(name).read_text())
            running = psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, psutil.Error):
            return None
        return pid if running else None

    @property
    def valkey_url(self) -> str:
        """URL of the server that is the primary at any time."""
        return f"redis://{LOOPBACK}:{self.proxies[HARNESS, 'valkey'].port}/0"

    def environments(self) -> list[psutil.Process]:
        """Return the functions' processes."""
        pid = self.pid(FUNCTIONS)
        try:
            return [] if pid is None else psutil.Process(pid).children()
        except psutil.Error:
            return []


def _unchanged(program: Program) -> Program:
    return program


@asynccontextmanager
async def running_cloud(
    root: Path,
    *,
    say: Callable[[str], None],
    lost: Callable[[], bool],
    adapted: Callable[[Program], Program] = _unchanged,
) -> AsyncIterator[ChaosCloud]:
    """Run one in `root`; what its processes say is in `root`/log. `adapted` changes programs."""
    tokens = root / "tokens"
    async with AsyncExitStack() as stack:
        folders = Folders(root=root, storage=root)
        folders.make()
        tokens.mkdir()
        stack.enter_context(claimed(folders.run_files))
        stack.enter_context(Guardian(owner=folders.run_files.owner))
        ports = stack.enter_context(Ports())
        addresses = _addresses(ports, folders)
        proxies = _proxies(addresses, ports, lost)
        for proxy in proxies.values():
            await proxy.start()
            stack.push_async_callback(proxy.close)
        pair = await _pair(stack, addresses, proxies, ports, root)
        programs = [
            *pair.programs(),
            *map(adapted, _programs(addresses, proxies, folders, ports, tokens)),
        ]
        supervisor = Supervisor(
            files=folders.run_files, steps=[*programs, *startup_tasks(addresses)], announce=say
        )
        stack.push_async_callback(supervisor.stop)
        await supervisor.start()
        yield ChaosCloud(
            folders=folders,
            addresses=addresses,
            proxies=proxies,
            pair=pair,
            controls={name: Control(_control(tokens, name)) for name in RELAYS + WORKERS},
            tokens=tokens,
            health_ports={
                program.name: int(program.environment["AXON_HEALTH_PORT"])
                for program in programs
                if program.name in RELAYS + WORKERS
            },
        )


async def _pair(
    stack: AsyncExitStack,
    addresses: Addresses,
    proxies: Mapping[tuple[str, str], FaultProxy],
    ports: Ports,
    root: Path,
) -> ValkeyPair:
    primary = addresses.valkey
    replica = Valkey(port=ports.reserve(), folder=root / "valkey-replica", persistent=True)
    link = FaultProxy(port=ports.reserve(), upstream_port=primary.port)
    await link.start()
    stack.push_async_callback(link.close)
    return ValkeyPair(
        servers=(primary, replica),
        link=link,
        proxies=[proxy for (_, server), proxy in proxies.items() if server == "valkey"],
    )


def _control(tokens: Path, name: str) -> Path:
    # Not among the token files, which are all read as such.
    return tokens.parent / f"control-{name}"


def _addresses(ports: Ports, folders: Folders) -> Addresses:
    # What Valkey and PostgreSQL have accepted must outlive a SIGKILL; nobody kills SQS.
    chosen = Addresses.choose(
        ports=ports, folders=folders, client_port=ports.reserve(), persistent=True
    )
    fauxqs = replace(chosen.fauxqs, persistent=False, queues=tuple(map(_impatient, QUEUES)))
    # Without a password: the replica that takes its place in a failover has none.
    return replace(chosen, fauxqs=fauxqs, valkey=replace(chosen.valkey, password=""))


def _impatient(queue: Queue) -> Queue:
    visibility_s = HISTORY_VISIBILITY_S if queue.name == "history.fifo" else VISIBILITY_S
    return replace(queue, visibility_s=visibility_s)


def _proxies(
    addresses: Addresses, ports: Ports, lost: Callable[[], bool]
) -> dict[tuple[str, str], FaultProxy]:
    upstream = (addresses.valkey.port, addresses.postgres.port, addresses.fauxqs.port)
    proxies = {
        (user, server): FaultProxy(port=ports.reserve(), upstream_port=port, lost=lost)
        for user in (FUNCTIONS, *RELAYS, *WORKERS)
        for server, port in zip(SERVERS, upstream, strict=True)
    }
    own = FaultProxy(port=ports.reserve(), upstream_port=addresses.valkey.port)
    return {**proxies, (HARNESS, "valkey"): own}


def _programs(
    addresses: Addresses,
    proxies: Mapping[tuple[str, str], FaultProxy],
    folders: Folders,
    ports: Ports,
    tokens: Path,
) -> list[Program]:
    values = {field.name: getattr(addresses, field.name) for field in fields(addresses)}
    servers = {proxies[FUNCTIONS, name].upstream_port: name for name in SERVERS}
    proxied = {port: proxies[FUNCTIONS, name].port for port, name in servers.items()}
    programs = ProgramBuilder(
        addresses=ProxiedAddresses(**values, proxied=proxied),
        folders=folders,
        options=Options(
            engine="echo",
            port=addresses.client_port,
            data=folders.root,
            workers=len(WORKERS),
            relays=len(RELAYS),
            ephemeral=False,
        ),
        ports=ports,
        environ={**os.environ, **SETTINGS},
    )
    own = {
        user: {proxies[FUNCTIONS, name].port: proxies[user, name].port for name in SERVERS}
        for user in RELAYS + WORKERS
    }
    return [
        _adapted(program, own.get(program.name), tokens)
        for program in programs.build()
        if program.name != "valkey"
    ]


def _adapted(program: Program, own: Mapping[int, int] | None, tokens: Path) -> Program:
    """Give a relay or a worker its own proxies, and let the harness bring faults about in it."""
    if own is None:
        return program
    module = "counting_worker" if program.name in WORKERS else "shifted_relay"
    waits = {"AXON_ENGINE_STALL_S": str(ENGINE_STALL_S)} if program.name in WORKERS else {}
    return replace(
        program,
        command=(sys.executable, "-m", f"tests.chaos.{module}"),
        environment={
            **{name: redirect(value, own) for name, value in program.environment.items()},
            **waits,
            FOLDER_VARIABLE: str(tokens),
            FILE_VARIABLE: str(_control(tokens, program.name)),
        },
    )
