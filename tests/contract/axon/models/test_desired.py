"""Desired models, in memory and in PostgreSQL."""

import asyncio

import pytest

from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.stores import PostgresDesiredModels
from axon.exceptions import UnavailableError
from axon.models.desired import DesiredModel, DesiredModels
from axon.testing.stores import FakeDesiredModels
from tests.support.clients import postgres_pool

SETTINGS = {
    "engine": "vllm",
    "model_uri": "s3://models/große 🌍",
    "max_model_len": 4096,
    "gpu_memory_utilization": 0.45,
    "enable_lora": True,
    "lora_adapters": {"pirate": "s3://models/pirate"},
}


@pytest.fixture(params=["fake", "real"])
def wanted(request: pytest.FixtureRequest) -> DesiredModels:
    if request.param == "fake":
        return FakeDesiredModels()
    pool: Pool = request.getfixturevalue("pool")
    return PostgresDesiredModels(pool=pool)


async def test_desired_models_are_empty_at_first(wanted: DesiredModels) -> None:
    assert list(await wanted.list()) == []


async def test_desired_models_return_what_was_put(wanted: DesiredModels) -> None:
    put = await wanted.put("llama", SETTINGS)
    assert (put.name, put.settings) == ("llama", SETTINGS)
    assert list(await wanted.list()) == [put]


async def test_desired_models_are_listed_by_name(wanted: DesiredModels) -> None:
    for name in ("b", "a/z", "B", "ä", "a:1", "_"):
        await wanted.put(name, {"engine": "echo"})
    assert [each.name for each in await wanted.list()] == ["B", "_", "a/z", "a:1", "b", "ä"]


async def test_desired_models_keep_the_last_settings_with_a_higher_version(
    wanted: DesiredModels,
) -> None:
    first = await wanted.put("llama", SETTINGS)
    unloaded = await wanted.put("llama", None)
    assert list(await wanted.list()) == [DesiredModel("llama", None, unloaded.version)]
    again = await wanted.put("llama", {"engine": "echo"})
    assert list(await wanted.list()) == [again]
    assert 0 < first.version < unloaded.version < again.version


async def test_desired_models_count_the_same_settings_again_as_a_change(
    wanted: DesiredModels,
) -> None:
    first, second = [await wanted.put("llama", SETTINGS) for _ in range(2)]
    assert first.version < second.version


async def test_desired_models_number_versions_across_models(wanted: DesiredModels) -> None:
    versions = [(await wanted.put(name, None)).version for name in ("a", "b", "a", "c")]
    assert versions == sorted(set(versions))


async def test_desired_models_number_concurrent_changes(wanted: DesiredModels) -> None:
    names = [f"m{n % 3}" for n in range(30)]
    put = await asyncio.gather(*(wanted.put(name, {"engine": "echo"}) for name in names))
    assert len({each.version for each in put}) == len(put)
    last = {each.name: each for each in sorted(put, key=lambda each: each.version)}
    assert list(await wanted.list()) == [last[name] for name in sorted(last)]


async def test_desired_models_show_no_version_before_an_earlier_one(pool: Pool) -> None:
    """A reader that has seen a version has seen all lower ones, of every model."""
    wanted = PostgresDesiredModels(pool=pool)
    seen: list[set[int]] = [set()]

    async def change(writer: int) -> None:
        for n in range(30):
            await wanted.put(f"{writer}-{n}", None)

    async def look() -> None:
        while len(seen[-1]) < 3 * 30:
            seen.append({each.version for each in await wanted.list()})

    await asyncio.gather(look(), *map(change, range(3)))
    assert len({len(versions) for versions in seen}) > 2
    for versions in seen:
        assert versions == set(range(1, len(versions) + 1))


async def test_desired_models_replace_a_character_that_postgresql_cannot_keep(pool: Pool) -> None:
    put = await PostgresDesiredModels(pool=pool).put("llama", {"model_uri": "a\x00b"})
    assert put.settings == {"model_uri": "a\ufffdb"}


async def test_desired_models_raise_unavailable_without_a_database() -> None:
    async with postgres_pool("postgresql://127.0.0.1:1/none") as pool:
        pool.timeout = 0.2
        wanted = PostgresDesiredModels(pool=pool)
        for asked in (wanted.list(), wanted.put("llama", None)):
            with pytest.raises(UnavailableError):
                await asked
