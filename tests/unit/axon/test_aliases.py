from collections import Counter

import pytest

from axon.aliases import check_free, resolve
from axon.event_log.log import Status
from axon.exceptions import UnavailableError
from axon.rendezvous import weighted
from axon.serialization import loads
from tests.unit.axon.responses.service_harness import SLEEPING, ResponseHarness
from tests.unit.axon.samples import MODEL

CONVERSATIONS = [f"conv_{number}" for number in range(4000)]
FIRST, SECOND = "model-a", "model-b"
NINE_TO_ONE = {"default": {FIRST: 90.0, SECOND: 10.0}}
EIGHT_TO_TWO = {"default": {FIRST: 80.0, SECOND: 20.0}}


class TestResolve:
    def test_returns_a_name_that_is_no_alias_as_a_model(self) -> None:
        assert resolve("m", conversation_id="conv_1", aliases=NINE_TO_ONE) == ["m"]

    def test_orders_models_with_a_weight_by_conversation(self) -> None:
        aliases = {"default": {FIRST: 1.0, SECOND: 3.0, "out": 0.0}}
        for conversation_id in CONVERSATIONS[:20]:
            order = resolve("default", conversation_id=conversation_id, aliases=aliases)
            assert order == weighted(conversation_id, aliases["default"])
            assert sorted(order) == [FIRST, SECOND]

    def test_returns_the_only_model_of_an_alias(self) -> None:
        aliases = {"default": {FIRST: 5.0}}
        assert resolve("default", conversation_id="conv_1", aliases=aliases) == [FIRST]


def test_alias_must_not_hide_a_model() -> None:
    check_free(NINE_TO_ONE, (FIRST, SECOND))
    with pytest.raises(ValueError, match="'default' is the name of a model"):
        check_free(NINE_TO_ONE, ("other", "default"))


@pytest.fixture
async def harness() -> ResponseHarness:
    harness = ResponseHarness()
    await harness.begin()
    await harness.valkey.directory.register((FIRST, SECOND), retention_s=10_000)
    harness.alias(NINE_TO_ONE)
    return harness


async def model_of(harness: ResponseHarness, response_id: str) -> str:
    """Return what the job and the client were told, which is the same."""
    (job,) = harness.jobs_sent()
    created, *_ = await harness.valkey.read(response_id)
    assert job.response_id == response_id
    assert loads(created.data)["response"]["model"] == job.model
    return job.model


async def converse(
    harness: ResponseHarness, *, conversations: int, store: bool | None = None
) -> dict[str, str]:
    """Begin conversations and answer them; return each last response's id with its model."""
    begun = {}
    for _ in range(conversations):
        response_id = await harness.submit(model="default", store=store)
        (job,) = harness.jobs_sent()
        begun[response_id] = job.model
        await harness.answer(response_id, "hello")
    return begun


@pytest.mark.parametrize("store", [None, False])
async def test_conversations_stay_and_a_changed_weight_moves_the_difference_only(
    harness: ResponseHarness, store: bool | None
) -> None:
    begun = await converse(harness, conversations=1000, store=store)
    assert Counter(begun.values())[SECOND] == pytest.approx(100, abs=40)

    followed = {}
    for previous, model in begun.items():
        response_id = await harness.submit(
            model="default", previous_response_id=previous, store=store
        )
        assert await model_of(harness, response_id) == model
        await harness.answer(response_id, "again")
        followed[response_id] = model

    harness.alias(EIGHT_TO_TWO)
    moved = Counter[tuple[str, str]]()
    for previous, model in followed.items():
        response_id = await harness.submit(
            model="default", previous_response_id=previous, store=store
        )
        moved[model, await model_of(harness, response_id)] += 1
    assert moved[SECOND, FIRST] == 0
    assert moved[FIRST, SECOND] == pytest.approx(100, abs=40)


async def test_response_of_an_alias_has_the_models_name_in_events_and_history(
    harness: ResponseHarness,
) -> None:
    harness.alias({"default": {FIRST: 1.0}})
    response_id = await harness.submit(model="default", generate=False)
    events = await harness.events(response_id)
    assert {event["response"]["model"] for event in events if "response" in event} == {FIRST}
    assert harness.history.records[response_id].response["model"] == FIRST
    assert await harness.status(response_id) is Status.COMPLETED


async def test_alias_skips_a_model_that_no_worker_has_yet(harness: ResponseHarness) -> None:
    harness.alias({"default": {"to-come": 1000.0, FIRST: 1.0}})
    response_id = await harness.submit(model="default")
    assert await model_of(harness, response_id) == FIRST
    await harness.valkey.directory.register(("to-come",), retention_s=10_000)
    assert await model_of(harness, await harness.submit(model="default")) == "to-come"


async def test_conversation_returns_to_its_model_when_that_is_back(
    harness: ResponseHarness,
) -> None:
    harness.alias({"default": {"late": 1000.0, FIRST: 1.0}})
    first = await harness.submit(model="default")
    assert await model_of(harness, first) == FIRST
    await harness.answer(first, "hello")
    await harness.valkey.directory.register(("late",), retention_s=10_000)
    second = await harness.submit(model="default", previous_response_id=first)
    assert await model_of(harness, second) == "late"


async def test_alias_chooses_a_model_of_the_deployment_that_is_not_registered(
    harness: ResponseHarness,
) -> None:
    harness.alias({"default": {SLEEPING: 1.0}})
    response_id = await harness.submit(model="default")
    assert await model_of(harness, response_id) == SLEEPING
    assert harness.scaler.calls == 1


async def test_refusal_names_the_alias_if_no_model_of_it_exists(harness: ResponseHarness) -> None:
    harness.alias({"default": {"x": 1.0, "y": 1.0}})
    error = await harness.refusal(model="default")
    assert (error.code, error.param, error.status) == ("model_not_found", "model", 404)
    assert "'default'" in error.message
    assert "'x'" not in error.message


async def test_refused_continuation_evicts_an_unstored_parent(harness: ResponseHarness) -> None:
    (first,) = await converse(harness, conversations=1, store=False)
    harness.alias({"default": {"x": 1.0}})
    await harness.refusal(model="default", previous_response_id=first, store=False)
    harness.alias(NINE_TO_ONE)
    error = await harness.refusal(model="default", previous_response_id=first, store=False)
    assert error.code == "previous_response_not_found"


async def test_alias_is_unavailable_while_no_model_is_known() -> None:
    empty = ResponseHarness(models=())
    await empty.valkey.heartbeat("relay", lease_s=100)
    empty.alias(NINE_TO_ONE)
    with pytest.raises(UnavailableError, match="announced"):
        await empty.submit(model="default")


@pytest.mark.parametrize(
    "aliases",
    [NINE_TO_ONE, {"default": {SECOND: 1.0}}, {"default": {"gone": 1.0}}, {}],
    ids=["same", "other", "unknown", "none"],
)
async def test_repeated_request_gets_the_same_response_after_a_change_of_weights(
    harness: ResponseHarness, aliases: dict[str, dict[str, float]]
) -> None:
    keys = [f"key-{number}" for number in range(20)]
    harness.alias({"default": {FIRST: 1.0}})
    begun = {key: await harness.submit(model="default", idempotency_key=key) for key in keys}
    assert {job.model for job in harness.jobs_sent()} == {FIRST}
    harness.alias(aliases)
    for key, response_id in begun.items():
        assert await harness.submit(model="default", idempotency_key=key) == response_id
    # Nobody has claimed them yet, so each is queued once more: as it was.
    assert {job.model for job in harness.jobs_sent()} == {FIRST}


async def test_request_for_the_models_own_name_has_another_fingerprint(
    harness: ResponseHarness,
) -> None:
    harness.alias({"default": {FIRST: 1.0}})
    await harness.submit(model="default", idempotency_key="key")
    harness.jobs_sent()
    error = await harness.refusal(model=FIRST, idempotency_key="key")
    assert error.code == "idempotency_key_reused"


async def test_resolve_keeps_the_name_of_a_model(harness: ResponseHarness) -> None:
    assert await model_of(harness, await harness.submit(model=MODEL)) == MODEL
