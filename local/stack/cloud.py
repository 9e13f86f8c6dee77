"""One local cloud from its start to its stop, as `axon dev` runs it."""

import asyncio
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local.atomic_files import write_json
from local.ports import Ports, require_free
from local.stack import bootstrap
from local.stack.addresses import Addresses
from local.stack.configurations import API_KEY, TENANT, endpoints
from local.stack.folders import Folders
from local.stack.options import Options
from local.stack.program_builder import API_KEY_TASK, ProgramBuilder
from local.stack.ready import ready_block
from local.supervision.guardian import Guardian
from local.supervision.program import Program
from local.supervision.run_files import claimed
from local.supervision.supervisor import Supervisor, Task


async def run(options: Options, say: Callable[[str], None]) -> None:
    """Run a local cloud until a signal asks it to stop.

    Raises
    ------
    LocalCloudError
        It could not be started; what had started is stopped again.
    """
    began = time.monotonic()
    options.check()
    require_free(options.port)
    with ExitStack() as stack:
        folders = stack.enter_context(_folders(options))
        ports = stack.enter_context(Ports())
        addresses = Addresses.choose(
            ports=ports,
            folders=folders,
            client_port=options.port,
            persistent=not options.ephemeral,
        )
        programs = ProgramBuilder(
            addresses=addresses, folders=folders, options=options, ports=ports
        )
        steps: list[Program | Task] = [*programs.build(), *startup_tasks(addresses)]

        def ready() -> None:
            write_json(folders.run / "endpoints.json", endpoints(addresses, options))
            say(ready_block(addresses, options, took_s=time.monotonic() - began))

        say(f"starting in {folders.root}")
        await _serve(
            Supervisor(files=folders.run_files, steps=steps, announce=say), ready=ready, say=say
        )
    say("stopped")


async def _serve(
    supervisor: Supervisor, *, ready: Callable[[], None], say: Callable[[str], None]
) -> None:
    # Each readiness check blocks a thread; asyncio's default pool is smaller than the number of
    # programs that start at the same time.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
    stop = _stop_on_signals(supervisor)
    try:
        if await _started(supervisor, stop):
            ready()
            await stop.wait()
    finally:
        say("stopping")
        await supervisor.stop()


@contextmanager
def _folders(options: Options) -> Iterator[Folders]:
    """Make and claim the folders, with a guardian that cleans up if this process is killed."""
    root = options.data.expanduser().resolve()
    with ExitStack() as stack:
        temporary = _temporary(stack) if options.ephemeral else None
        folders = Folders(root=root, storage=temporary or root)
        folders.make()
        stack.enter_context(claimed(folders.run_files))
        stack.enter_context(Guardian(owner=folders.run_files.owner, temporary=temporary))
        yield folders


def _temporary(stack: ExitStack) -> Path:
    # The guardian removes it too: it may be gone already.
    folder = tempfile.TemporaryDirectory(prefix="axon-", ignore_cleanup_errors=True)
    return Path(stack.enter_context(folder))


def startup_tasks(addresses: Addresses) -> list[Task]:
    """Return the tasks that run once while a local cloud starts."""

    async def migrate() -> None:
        await asyncio.to_thread(bootstrap.migrate, addresses.lambda_endpoint, token=addresses.token)

    async def create_key() -> None:
        await bootstrap.create_key(
            dsn=addresses.postgres.dsn(),
            valkey_url=addresses.valkey.url,
            secret=API_KEY,
            tenant_id=TENANT,
        )

    return [
        Task(name="schema", run=migrate, after=frozenset({"lambda"})),
        Task(name=API_KEY_TASK, run=create_key, after=frozenset({"schema"})),
    ]


def _stop_on_signals(supervisor: Supervisor) -> asyncio.Event:
    """Return an event that the first signal sets; the second stops without waiting for anybody."""
    stop = asyncio.Event()

    def on_signal() -> None:
        # The second Ctrl-C is that of an impatient person: then nothing is waited for.
        if stop.is_set():
            supervisor.stop_now()
        stop.set()

    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as it is under nohup
        signals.append(signal.SIGHUP)
    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop


async def _started(supervisor: Supervisor, stop: asyncio.Event) -> bool:
    """Start everything; False when a signal came first."""
    starting = asyncio.create_task(supervisor.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stopping.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return False
    stopping.cancel()
    await starting
    return True
