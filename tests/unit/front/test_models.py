import openai

from tests.unit.axon.samples import MODEL
from tests.unit.front.front_harness import ALIAS, KEY, FrontHarness


async def test_models_are_listed_and_retrieved_by_the_sdk(harness: FrontHarness) -> None:
    async with openai.AsyncOpenAI(base_url=f"{harness.url}/v1", api_key=KEY) as client:
        models = [model.id async for model in await client.models.list()]
        assert models == sorted([ALIAS, MODEL, "org/large"])
        assert (await client.models.retrieve("org/large")).id == "org/large"


async def test_models_that_are_unknown_are_not_found(harness: FrontHarness) -> None:
    async with harness.client.get("/v1/models/none") as answer:
        assert await harness.error(answer) == (404, "model_not_found", "model")
