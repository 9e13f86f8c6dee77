import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.contract.worker.engines.echo_upstream_stub import Fault
from tests.unit.worker.engines.openai.upstream_harness import chunks_of, serving
from worker.engines.openai.engine import OpenAiEngine
from worker.engines.openai.resolver import GuardedResolver
from worker.engines.openai.upstream import Upstream
from worker.engines.protocol import EngineError


class FixedResolver(AbstractResolver):
    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0)
            for each in self._addresses
        ]

    async def close(self) -> None: ...


async def test_resolver_refuses_a_name_that_resolves_to_a_metadata_service() -> None:
    for addresses in (("169.254.169.254",), ("10.0.0.1", "fd00:ec2::254"), ("fe80::1%eth0",)):
        resolver = GuardedResolver(FixedResolver(*addresses))
        with pytest.raises(OSError, match="no upstream may have"):
            await resolver.resolve("innocent.example", 80)


async def test_resolver_returns_other_addresses() -> None:
    found = await GuardedResolver(FixedResolver("127.0.0.1", "::1")).resolve("localhost", 80)
    assert [each["host"] for each in found] == ["127.0.0.1", "::1"]


async def test_openai_engine_asks_no_name_that_resolves_to_a_metadata_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "worker.engines.openai.resolver.DefaultResolver", lambda: FixedResolver("169.254.169.254")
    )
    engine = OpenAiEngine(slots=1, upstream=Upstream(url="http://innocent.example/v1"))
    with pytest.raises(EngineError, match=r"innocent\.example resolves to 169\.254\.169\.254"):
        await engine.start()


async def test_openai_engine_follows_no_redirect() -> None:
    elsewhere = Fault(status=307, headers={"Location": "http://169.254.169.254/"})
    async with serving(faults=[elsewhere]) as (engine, up):
        with pytest.raises(EngineError, match=r"redirects to 'http://169\S+ \(HTTP 307\)"):
            await chunks_of(engine, "hi")
        assert len(up.requests) == 1
