"""Models that are wanted beside the deployment's own."""

import asyncio
from typing import Any

import pytest

from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.stores import PostgresDesiredModels
from axon.exceptions import RequestError
from tests.integration.worker.conftest import World, text_of

SOON = {"model_retention_s": "1"}
"""Announced three times a second."""


async def accepted(world: World, *, model: str, **fields: Any) -> str:
    """Submit until a worker has announced the model."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await world.submit(model=model, **fields)
            except RequestError as error:
                if error.code != "model_not_found":
                    raise
            await asyncio.sleep(0.05)


async def test_each_answers_under_its_own_name(world: World, pool: Pool) -> None:
    await PostgresDesiredModels(pool=pool).put("second", {"engine": "echo"})
    async with world.worker(**SOON):
        for model in ("second", "echo"):
            decoded = await world.ended(await accepted(world, model=model, input="hi there"))
            assert text_of(decoded) == "hi there"
            assert decoded[-1]["response"]["model"] == model


async def test_a_model_that_fails_keeps_nobody_from_working(world: World, pool: Pool) -> None:
    wanted = PostgresDesiredModels(pool=pool)
    await wanted.put("broken", {"engine": "vllm", "model_uri": "/nowhere"})
    await wanted.put("second", {"engine": "echo"})
    async with world.worker(**SOON):
        response_id = await accepted(world, model="second", input="hi")
        assert text_of(await world.ended(response_id)) == "hi"


async def test_the_own_model_can_be_unwanted(world: World, pool: Pool) -> None:
    wanted = PostgresDesiredModels(pool=pool)
    await wanted.put("echo", None)
    await wanted.put("second", {"engine": "echo"})
    async with world.worker(**SOON):
        await world.ended(await accepted(world, model="second"))
        with pytest.raises(RequestError, match="'echo'"):
            await world.submit(model="echo")
