"""A primary and its replica for one test, with a link between them that the test can stop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import redis

from local.services.valkey import Valkey
from tests.chaos.proxy import FaultProxy
from tests.conftest import Servers
from tests.support.eventually import wait_until
from tests.support.valkey_servers import Address, moving_address, valkey_server


@dataclass
class ValkeyServers:
    """A primary, its replica, the link between them, and the address that clients connect to."""

    primary: Valkey
    replica: Valkey
    link: FaultProxy
    address: Address
    kill_primary: Callable[[], None]

    def wait_in_sync(self) -> None:
        """Wait until the replica has all that the primary has."""
        wait_until(self._in_sync)

    def _in_sync(self) -> bool:
        first = self.admin("INFO", "replication", server=self.primary)
        second = self.admin("INFO", "replication")
        linked = second.get("master_link_status") == "up"
        return linked and bool(second["slave_repl_offset"] == first["master_repl_offset"])

    def stall(self) -> None:
        """Stop the link to the replica, which has everything so far."""
        self.wait_in_sync()
        self.link.stall()

    def fail_over(self) -> None:
        """Kill the primary without a word; its clients find the replica in its place."""
        self.kill_primary()
        self.link.refuse()
        self.admin("REPLICAOF", "NO", "ONE")
        self.address.target = self.replica.port

    def admin(self, *command: str, server: Valkey | None = None) -> Any:
        """Run a command on a server, the replica by default."""
        with redis.Redis.from_url((server or self.replica).url) as admin:
            run: Callable[..., Any] = admin.execute_command
            return run(*command)


@asynccontextmanager
async def valkey_servers(servers: Servers) -> AsyncIterator[ValkeyServers]:
    """Run both servers; the replica is in sync."""
    async with AsyncExitStack() as stack:
        primary_stack = stack.enter_context(ExitStack())
        primary = primary_stack.enter_context(valkey_server(servers))
        replica = stack.enter_context(valkey_server(servers))
        link = FaultProxy(port=servers.ports.reserve(), upstream_port=primary.port)
        await link.start()
        stack.push_async_callback(link.close)
        address = await stack.enter_async_context(moving_address(primary.port))
        made = ValkeyServers(primary, replica, link, address, primary_stack.close)
        # In threads: the link is served by this loop.
        with redis.Redis.from_url(primary.url) as admin:
            admin.config_set("repl-diskless-sync-delay", "0")
        await asyncio.to_thread(made.admin, "REPLICAOF", "127.0.0.1", str(link.port))
        await asyncio.to_thread(made.wait_in_sync)
        yield made
