"""Failovers and rewinds of two real Valkey servers lose what was written last, and no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ValkeyConnectionError
from redis.exceptions import ReadOnlyError

from local.ports import LOOPBACK, Ports
from local.services.valkey import Valkey
from local.supervision.run_files import RunFiles
from local.supervision.supervisor import Supervisor
from tests.chaos.pair import ValkeyPair
from tests.chaos.proxy import FaultProxy
from tests.chaos.rewind import rewind
from tests.support.eventually import eventually

LAG_S = 0.3


class PairHarness:
    """A running pair, and the proxy through which its clients reach the primary."""

    def __init__(
        self, pair: ValkeyPair, link: FaultProxy, proxy: FaultProxy, files: RunFiles
    ) -> None:
        self.pair = pair
        self.link = link
        self._proxy = proxy
        self._files = files

    def client(self) -> Redis:
        """Return a client with one connection and no retries."""
        return Redis(
            host=LOOPBACK,
            port=self._proxy.port,
            single_connection_client=True,
            retry=Retry(NoBackoff(), 0),
        )

    def pid(self, name: str) -> int:
        return int(self._files.pid_file(name).read_text())

    async def in_sync(self) -> None:
        """Return once the replica has all data."""
        async with (
            self.pair.client(self.pair.primary) as primary,
            self.pair.client(self.pair.replica) as replica,
            asyncio.timeout(10),
        ):
            while await _offset(primary) != await _offset(replica):
                await asyncio.sleep(0.01)


async def _offset(server: Redis) -> int:
    info = await server.info("replication")
    return int(info.get("slave_repl_offset", info["master_repl_offset"]))


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[PairHarness]:
    files = RunFiles(run=tmp_path / "run", log=tmp_path / "log")
    files.run.mkdir()
    files.log.mkdir()
    async with AsyncExitStack() as stack:
        ports = stack.enter_context(Ports())
        first, second = (
            Valkey(port=ports.reserve(), folder=tmp_path / name, persistent=True)
            for name in ("first", "second")
        )
        proxies = [FaultProxy(port=ports.reserve(), upstream_port=first.port) for _ in range(2)]
        for proxy in proxies:
            await proxy.start()
            stack.push_async_callback(proxy.close)
        link, proxy = proxies
        pair = ValkeyPair(servers=(first, second), link=link, proxies=[proxy])
        supervisor = Supervisor(files=files, steps=pair.programs(), announce=print)
        stack.push_async_callback(supervisor.stop)
        await supervisor.start()
        harness = PairHarness(pair, link, proxy, files)
        await harness.in_sync()
        yield harness


async def written_late(harness: PairHarness, client: Redis) -> None:
    """Write while the replica falls behind."""
    await eventually(lambda: harness.link.stalled)
    await client.set("axon:late", "1")


async def test_pair_fails_over_to_a_replica_that_lacks_the_newest_writes(
    harness: PairHarness,
) -> None:
    pair = harness.pair
    async with harness.client() as client:
        await client.set("axon:early", "1")
        await harness.in_sync()
        done, _ = await asyncio.gather(
            pair.fail_over(lag_s=LAG_S, pid=harness.pid), written_late(harness, client)
        )
        assert (done, pair.primary, pair.replica) == (True, "valkey-replica", "valkey")
        with pytest.raises(ValkeyConnectionError):
            await client.get("axon:early")
    async with harness.client() as client:
        assert await client.mget("axon:early", "axon:late") == [b"1", None]
        # The killed server comes back as a replica, without the lost write.
        await client.set("axon:after", "1")
        await harness.in_sync()
    async with pair.client(pair.replica) as replica:
        assert await replica.mget("axon:early", "axon:late", "axon:after") == [b"1", None, b"1"]
    assert await pair.fail_over(lag_s=0, pid=harness.pid)
    assert pair.primary == "valkey"


async def test_pair_takes_back_a_replica_that_was_started_as_a_primary(
    harness: PairHarness,
) -> None:
    async with harness.pair.client(harness.pair.replica) as replica:
        await replica.replicaof("NO", "ONE")
    assert await harness.pair.demote(lag_s=0)
    assert harness.pair.primary == "valkey-replica"


async def test_pair_demotes_a_primary_under_its_clients_connections(harness: PairHarness) -> None:
    async with harness.client() as client:
        await client.set("axon:early", "1")
        await harness.in_sync()
        done, _ = await asyncio.gather(
            harness.pair.demote(lag_s=LAG_S), written_late(harness, client)
        )
        assert done
        with pytest.raises(ReadOnlyError):
            await client.set("axon:more", "1")
    async with harness.client() as client:
        assert await client.mget("axon:early", "axon:late") == [b"1", None]


async def test_rewind_restores_all_keys_but_those_of_ended_responses(harness: PairHarness) -> None:
    ended, unended = "axon:response:resp_0e:events", "axon:response:resp_0f:events"
    async with harness.pair.client("valkey") as server, harness.client() as client:
        await client.set("axon:early", "1", px=60_000)
        await client.set("axon:gone", "1")
        await client.hset("axon:response:resp_0e", "status", "completed")
        await client.hset("axon:response:resp_0f", "status", "in_progress")
        before = (await server.info("replication"))["master_replid"]

        async def write() -> None:
            await asyncio.sleep(LAG_S / 2)
            await client.mset({"axon:early": "2", "axon:late": "1", ended: "1", unended: "1"})
            await client.delete("axon:gone")

        await asyncio.gather(rewind(server, lag_s=LAG_S, ended={"resp_0e", "resp_0f"}), write())
        with pytest.raises(ValkeyConnectionError):
            await client.ping()
        found = await server.mget("axon:early", "axon:gone", "axon:late", ended, unended)
        assert found == [b"1", b"1", None, b"1", None]
        assert 0 < await server.pttl("axon:early") <= 60_000
        assert await server.ttl("axon:gone") == -1
        assert (await server.info("replication"))["master_replid"] != before
