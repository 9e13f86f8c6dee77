"""Two Valkey servers, one the other's replica, and failovers that lose the newest writes."""

import asyncio
import os
import signal
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

from redis.asyncio import Redis
from redis.exceptions import RedisError

from local.ports import LOOPBACK
from local.services.valkey import Valkey
from local.supervision.program import Program
from tests.chaos.proxy import FaultProxy
from tests.chaos.rewind import rewind

IN_SYNC_WITHIN_S = 8.0
_OPTIONS = (
    *("--enable-debug-command", "local"),
    *("--repl-diskless-sync-delay", "0"),
    *("--repl-diskless-load", "on-empty-db"),
)


class ValkeyPair:
    """The servers; clients reach the primary through proxies.

    Parameters
    ----------
    servers : tuple[Valkey, Valkey]
        The first one begins as the primary.
    link : FaultProxy
        Between the replica and its primary; while it stalls, the replica falls behind.
    proxies : Iterable[FaultProxy]
        Those of the clients: they follow the primary.
    """

    def __init__(
        self,
        *,
        servers: tuple[Valkey, Valkey],
        link: FaultProxy,
        proxies: Iterable[FaultProxy],
    ) -> None:
        self._servers = {"valkey": servers[0], "valkey-replica": servers[1]}
        self._link = link
        self._proxies = list(proxies)
        self.primary = "valkey"
        self.changing = asyncio.Lock()
        """Held while the data or the roles change: one such fault at a time."""

    @property
    def replica(self) -> str:
        """Name of the program that is the replica."""
        return next(name for name in self._servers if name != self.primary)

    def client(self, name: str) -> Redis:
        """Return a client of one server, past all proxies."""
        return Redis(host=LOOPBACK, port=self._servers[name].port)

    def programs(self) -> list[Program]:
        """Return the programs that run the servers, each in its role at the time of its start."""
        return [self._program(name, server) for name, server in self._servers.items()]

    async def fail_over(self, *, lag_s: float, pid: Callable[[str], int | None]) -> bool:
        """Kill the primary, and promote the replica, which lacks the writes of `lag_s` seconds.

        Return False if there is no replica in sync to promote.
        """
        async with self.changing:
            if not await self._replica_in_sync():
                return False
            await self._fall_behind(lag_s)
            old = pid(self.primary)
            # First of all: the supervisor restarts the killed server, which must be a replica then.
            self.primary = self.replica
            if old is not None:
                with suppress(ProcessLookupError):
                    os.kill(old, signal.SIGKILL)
            await self._promote()
            for proxy in self._proxies:
                proxy.cut()
            return True

    async def demote(self, *, lag_s: float) -> bool:
        """Swap the roles, the primary alive: its clients stay connected to a read-only server.

        Return False if there is no replica in sync to promote.
        """
        async with self.changing:
            if not await self._replica_in_sync():
                return False
            await self._fall_behind(lag_s)
            old, self.primary = self.primary, self.replica
            async with self.client(old) as server:
                await server.replicaof(LOOPBACK, self._link.port)
            await self._promote()
            return True

    async def rewind(self, *, lag_s: float, ended: Collection[str]) -> bool:
        """Take the primary back to its state of `lag_s` seconds ago.

        Return False if there is no replica in sync.
        """
        async with self.changing:
            if not await self._replica_in_sync():
                return False
            # It stands for a failover to a replica that lags, so none confirms newer writes (WAIT).
            self._link.stall()
            try:
                with suppress(RedisError, OSError):  # the server was killed meanwhile
                    async with self.client(self.primary) as server:
                        await rewind(server, lag_s=lag_s, ended=ended)
            finally:
                self._link.heal()
            return True

    async def _fall_behind(self, lag_s: float) -> None:
        self._link.stall()
        await asyncio.sleep(lag_s)
        # What the link held back is lost with it; the replica finds nobody until the roles are new.
        self._link.refuse()

    async def _promote(self) -> None:
        async with self.client(self.primary) as server:
            await server.replicaof("NO", "ONE")
        port = self._servers[self.primary].port
        for proxy in (*self._proxies, self._link):
            proxy.upstream_port = port
        self._link.heal()

    async def _replica_in_sync(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(IN_SYNC_WITHIN_S):
                while not await self._is_in_sync():
                    await asyncio.sleep(0.1)
                return True
        return False

    async def _is_in_sync(self) -> bool:
        with suppress(RedisError, OSError):
            async with self.client(self.replica) as server:
                info = await server.info("replication")
                if info["role"] == "slave":
                    return bool(info["master_link_status"] == "up")
                # It was restarted as a primary just before the other one took over.
                await server.replicaof(LOOPBACK, self._link.port)
        return False

    def _program(self, name: str, server: Valkey) -> Program:
        program = server.program()
        executable, *arguments = program.command
        file = server.folder / "role.conf"
        return replace(
            program,
            name=name,
            command=(executable, str(file), *arguments, *_OPTIONS),
            prepare=lambda: self._prepare(name, server.folder, file),
        )

    def _prepare(self, name: str, folder: Path, file: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if name == self.primary:
            file.write_text("")
            return
        # A replica begins without data: what it had as a primary is not the primary's.
        rmtree(folder / "appendonlydir", ignore_errors=True)
        file.write_text(f"replicaof {LOOPBACK} {self._link.port}\n")
