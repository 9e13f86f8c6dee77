"""Refusals of Valkey: each is repeated where that helps, alone, and told to the caller in time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import redis
from redis.exceptions import ResponseError

from axon.adapters.valkey.client import Script, Valkey
from axon.adapters.valkey.directories import ValkeyModelDirectory, ValkeyRelayDirectory
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.follower import ValkeyResponseChannels
from axon.adapters.valkey.subscriber import Subscriber
from axon.deadlines import Deadlines
from axon.event_log.openings import NewResponse, OpenResult
from axon.exceptions import StoreFullError, UnavailableError
from tests.conftest import Servers
from tests.support.clients import valkey_client
from tests.support.eventually import eventually
from tests.support.resp_server import resp_server
from tests.support.valkey_servers import moving_address, valkey_server

RECONNECT = [
    b"READONLY You can't write against a read only replica.",
    b"READONLY You can't write against a read only replica. script: 5ca1, on @user_script:12.",
    b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    b"NOAUTH Authentication required.",
    b"WRONGPASS invalid username-password pair or user is disabled.",
    b"MOVED 866 10.0.0.7:6379",
]
REPEAT = [
    b"LOADING Valkey is loading the dataset in memory",
    b"BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    b"CLUSTERDOWN The cluster is down",
    b"TRYAGAIN Multiple keys request during rehashing of slot",
    b"MISCONF Valkey is configured to save RDB snapshots, but it is unable to persist to disk.",
    b"NOREPLICAS Not enough good replicas to write.",
]
FULL = b"OOM command not allowed when used memory > 'maxmemory'."
NEW = NewResponse(
    response_id="resp_1",
    tenant_id="t",
    connection_id="c1",
    model="echo",
    job=b"job",
    created=b"{}",
)


def code(refusal: bytes) -> str:
    return refusal.split()[0].decode()


@pytest.mark.parametrize("refusal", RECONNECT, ids=code)
async def test_valkey_repeats_on_a_new_connection_what_the_wrong_server_refused(
    refusal: bytes,
) -> None:
    def answer(connection: int, _: list[bytes]) -> bytes:
        return b"-%s\r\n" % refusal if connection == 1 else b"+done\r\n"

    async with resp_server(answer) as server, valkey_client(server.url) as valkey:
        assert await valkey.call("ECHO", "a") == b"done"
        assert await valkey.call("GET", "a") == b"done"
        assert server.connections == 2


@pytest.mark.parametrize("refusal", REPEAT, ids=code)
async def test_valkey_repeats_on_its_connection_what_the_server_refused_for_a_moment(
    refusal: bytes,
) -> None:
    answers = iter([b"-%s\r\n" % refusal, b"+done\r\n"])
    async with resp_server(lambda *_: next(answers)) as server:
        async with valkey_client(server.url) as valkey:
            assert await valkey.call("GET", "a") == b"done"
        assert server.connections == 1


@pytest.mark.parametrize("refusal", [RECONNECT[0], REPEAT[0], REPEAT[1]], ids=code)
async def test_valkey_raises_unavailable_when_it_is_refused_again_and_again(
    refusal: bytes,
) -> None:
    async with (
        resp_server(lambda *_: b"-%s\r\n" % refusal) as server,
        valkey_client(server.url) as valkey,
        asyncio.timeout(10),
    ):
        with pytest.raises(UnavailableError, match="Valkey") as raised:
            await valkey.call("SET", "a", "b")
    assert not isinstance(raised.value, StoreFullError)


async def test_valkey_raises_store_full_at_once() -> None:
    async with resp_server(lambda *_: b"-%s\r\n" % FULL) as server:
        async with valkey_client(server.url) as valkey:
            with pytest.raises(StoreFullError):
                await valkey.call("SET", "a", "b")
        assert len(server.commands) == 1


@pytest.mark.parametrize("refusal", [*RECONNECT, *REPEAT, FULL], ids=code)
async def test_valkey_refuses_no_neighbour_of_a_refused_command(refusal: bytes) -> None:
    """One command of a batch is refused for ever; the others are answered meanwhile."""

    def answer(_: int, command: list[bytes]) -> bytes:
        return b"-%s\r\n" % refusal if command[1] == b"refused" else b"+%s\r\n" % command[1]

    async with resp_server(answer) as server, valkey_client(server.url) as valkey:
        await valkey.call("GET", "first")  # connects
        refused = asyncio.create_task(valkey.call("GET", "refused"))
        names = [str(number) for number in range(20)]
        answers = await asyncio.gather(*(valkey.call("GET", name) for name in names))
        assert answers == [name.encode() for name in names]
        sent = [command[1] for command in server.commands if command[1].isdigit()]
        assert sent == answers, "not sent once each"
        refused.cancel()
        await asyncio.gather(refused, return_exceptions=True)


async def test_valkey_raises_an_error_of_the_command_itself() -> None:
    async with resp_server(lambda *_: b"-WRONGTYPE Operation against a key\r\n") as server:
        async with valkey_client(server.url) as valkey:
            with pytest.raises(ResponseError):
                await valkey.call("INCR", "a")
        assert len(server.commands) == 1


@asynccontextmanager
async def failing_over(servers: Servers) -> AsyncIterator[tuple[Valkey, Callable[[], None]]]:
    """Yield a client of a primary, and a function that makes another server the primary.

    The old one continues as a replica, and connections to it stay open, as ElastiCache leaves them.
    """
    with valkey_server(servers) as old, valkey_server(servers) as new:
        async with moving_address(old.port) as address, valkey_client(address.url) as valkey:

            def fail_over() -> None:
                with redis.Redis.from_url(old.url) as admin:
                    admin.replicaof("127.0.0.1", new.port)
                address.target = new.port

            yield valkey, fail_over


async def test_valkey_leaves_a_demoted_primary(servers: Servers) -> None:
    async with failing_over(servers) as (valkey, fail_over):
        keep = Script(valkey, "keep")
        await keep(keys=["axon:a"], args=[60, "field", "before"])
        fail_over()
        await asyncio.gather(
            *(keep(keys=[f"axon:{n}"], args=[60, "field", "after"]) for n in range(80))
        )
        role = await valkey.call("ROLE")
        assert role[0] in (b"master", "master")


async def test_subscriptions_leave_a_demoted_primary(servers: Servers) -> None:
    """A replica passes on what is published at the primary, so silence does not betray it."""
    received: list[bytes] = []
    async with failing_over(servers) as (valkey, fail_over):
        subscriber = Subscriber(
            valkey=valkey, channel="axon:relay:r", receivers={"axon:relay:r": received.append}
        )
        channels = ValkeyResponseChannels(valkey=valkey)
        tasks = [asyncio.create_task(each.run()) for each in (subscriber, channels)]
        await asyncio.wait_for(subscriber.subscribed.wait(), 5)
        await eventually(lambda: channels.connected)
        await subscriber.pulse()
        fail_over()
        await valkey.call("SET", "a", "b")  # the commands have moved

        async def moved() -> bool:
            names = ("axon:relay:r", channels.own_channel)
            counts = await valkey.call("PUBSUB", "NUMSUB", *names)
            return bool(counts[1] and counts[3])

        async with asyncio.timeout(8):
            while not await moved():
                await subscriber.pulse()
                await asyncio.sleep(0.05)
        await valkey.call("PUBLISH", "axon:relay:r", b"news")
        await eventually(lambda: received == [b"news"])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_event_log_of_a_full_valkey_refuses_and_recovers(servers: Servers) -> None:
    with valkey_server(servers, maxmemory_policy="noeviction") as server:
        async with valkey_client(server.url) as valkey:
            log = ValkeyEventLog(
                valkey=valkey, deadlines=Deadlines(), retention_s=300, resume_window_s=60
            )
            await ValkeyModelDirectory(valkey=valkey).register(("echo",), retention_s=600)
            await ValkeyRelayDirectory(valkey=valkey).heartbeat("r1", lease_s=600)
            assert (await log.open(NEW)).outcome is OpenResult.OPENED
            await valkey.call("CONFIG", "SET", "maxmemory", 1)
            with pytest.raises(StoreFullError):
                await log.open(replace(NEW, response_id="resp_2"))
            with pytest.raises(StoreFullError):
                await log.claim("resp_1", in_progress=b"{}")
            await valkey.call("CONFIG", "SET", "maxmemory", 0)
            assert (await log.claim("resp_1")).epoch == 1
