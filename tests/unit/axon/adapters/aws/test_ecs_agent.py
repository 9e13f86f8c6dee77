import asyncio
from collections.abc import AsyncIterator

import pytest

from axon.adapters.aws import ecs_agent
from axon.adapters.aws.ecs_agent import EcsAgent
from axon.exceptions import UnavailableError
from tests.support.stream_server import stream_server
from tests.unit.axon.adapters.aws.ecs_agent_stub import AgentStandIn, ecs_agent_stand_in


@pytest.fixture
async def stand_in() -> AsyncIterator[AgentStandIn]:
    async with ecs_agent_stand_in() as stand_in:
        yield stand_in


async def test_ecs_agent_begins_and_ends_protection(stand_in: AgentStandIn) -> None:
    agent = EcsAgent(uri=stand_in.uri)
    await agent.protect(minutes=30)
    await agent.protect(minutes=None)
    assert stand_in.asked == [
        {"ProtectionEnabled": True, "ExpiresInMinutes": 30},
        {"ProtectionEnabled": False},
    ]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"failure": {"Arn": "arn", "Reason": "TASK_NOT_VALID"}}'),
        (400, b'{"error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}'),
        (500, b"oh"),
        (200, b""),
        (200, b"null"),
    ],
)
async def test_ecs_agent_raises_for_a_refusal_of_ecs(
    stand_in: AgentStandIn, status: int, body: bytes
) -> None:
    stand_in.failures = [(status, body)]
    with pytest.raises(UnavailableError, match="ECS agent"):
        await EcsAgent(uri=stand_in.uri).protect(minutes=30)


async def test_ecs_agent_raises_if_the_agent_is_unreachable() -> None:
    with pytest.raises(UnavailableError):
        await EcsAgent(uri="http://127.0.0.1:1").protect(minutes=30)


async def test_ecs_agent_raises_without_an_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecs_agent, "_TIMEOUT_S", 0.05)

    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with stream_server(hang) as port:
        with pytest.raises(UnavailableError, match="Timeout"):
            await EcsAgent(uri=f"http://127.0.0.1:{port}").protect(minutes=30)
