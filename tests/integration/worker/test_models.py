"""Models that the operator has added to the deployment's own."""

import asyncio
from typing import Any

import pytest

from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.stores import PostgresDesiredModels
from axon.exceptions import RequestError
from tests.integration.worker.conftest import WorkerHarness, text_of

SOON = {"model_retention_s": "1"}
"""Announced three times a second."""


async def accepted(harness: WorkerHarness, *, model: str, **fields: Any) -> str:
    """Submit until a worker has announced the model."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await harness.submit(model=model, **fields)
            except RequestError as error:
                if error.code != "model_not_found":
                    raise
            await asyncio.sleep(0.05)


async def test_models_answer_under_their_own_names(harness: WorkerHarness, pool: Pool) -> None:
    await PostgresDesiredModels(pool=pool).put("second", {"engine": "echo"})
    async with harness.worker(**SOON):
        for model in ("second", "echo"):
            decoded = await harness.ended(await accepted(harness, model=model, input="hi there"))
            assert text_of(decoded) == "hi there"
            assert decoded[-1]["response"]["model"] == model


async def test_models_are_served_beside_one_that_fails(harness: WorkerHarness, pool: Pool) -> None:
    wanted = PostgresDesiredModels(pool=pool)
    await wanted.put("broken", {"engine": "vllm", "model_uri": "/nowhere"})
    await wanted.put("second", {"engine": "echo"})
    async with harness.worker(**SOON):
        response_id = await accepted(harness, model="second", input="hi")
        assert text_of(await harness.ended(response_id)) == "hi"


async def test_models_of_the_deployment_can_be_removed(harness: WorkerHarness, pool: Pool) -> None:
    wanted = PostgresDesiredModels(pool=pool)
    await wanted.put("echo", None)
    await wanted.put("second", {"engine": "echo"})
    async with harness.worker(**SOON):
        await harness.ended(await accepted(harness, model="second"))
        with pytest.raises(RequestError, match="'echo'"):
            await harness.submit(model="echo")
