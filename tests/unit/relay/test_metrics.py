import pytest
from prometheus_client import CollectorRegistry

from axon.management_api import (
    ConnectionGoneError,
    ConnectionsApiError,
    PayloadTooLargeError,
    PostThrottledError,
    PostUncertainError,
)
from axon.testing.management_api import FakeConnections
from relay.metrics import CountedConnections, RelayMetrics
from tests.unit.relay.relay_harness import RelayHarness


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> RelayMetrics:
    return RelayMetrics(registry=registry)


def posts(registry: CollectorRegistry) -> dict[str, float]:
    return {
        outcome: registry.get_sample_value("axon_relay_posts_total", {"outcome": outcome}) or 0
        for outcome in ("delivered", "gone", "throttled", "failed")
    }


NONE = {"delivered": 0, "gone": 0, "throttled": 0, "failed": 0}


async def test_metrics_count_posts_that_arrive(
    metrics: RelayMetrics, registry: CollectorRegistry
) -> None:
    fake = FakeConnections()
    connections = CountedConnections(fake, metrics=metrics)
    assert posts(registry) == NONE
    await connections.post("c1", b"one")
    await connections.post("c1", b"two")
    assert fake.posts["c1"] == [b"one", b"two"]
    assert posts(registry) == NONE | {"delivered": 2}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ConnectionGoneError("410"), "gone"),
        (PostThrottledError("429"), "throttled"),
        (PostUncertainError("?"), "failed"),
        (PayloadTooLargeError("413"), "failed"),
        (ConnectionsApiError("400"), "failed"),
    ],
)
async def test_metrics_count_and_raise_failed_posts(
    metrics: RelayMetrics, registry: CollectorRegistry, error: ConnectionsApiError, outcome: str
) -> None:
    fake = FakeConnections()
    fake.fail("c1", error)
    with pytest.raises(type(error)):
        await CountedConnections(fake, metrics=metrics).post("c1", b"one")
    assert posts(registry) == NONE | {outcome: 1}


async def test_metrics_do_not_count_a_closing_as_a_post(
    metrics: RelayMetrics, registry: CollectorRegistry
) -> None:
    fake = FakeConnections()
    await CountedConnections(fake, metrics=metrics).delete("c1")
    assert fake.deleted == ["c1"]
    assert posts(registry) == NONE


async def test_metrics_gauges_follow_the_dispatcher(
    metrics: RelayMetrics, registry: CollectorRegistry, harness: RelayHarness
) -> None:
    metrics.watch(harness.dispatcher)
    for connection_id in ("c1", "c1", "c2"):
        await harness.open(connection_id)
    harness.pump()
    assert registry.get_sample_value("axon_relay_connections") == 2
    assert registry.get_sample_value("axon_relay_responses") == 3


def test_metrics_count_connections_that_were_taken_over(
    metrics: RelayMetrics, registry: CollectorRegistry
) -> None:
    for continued in (True, True, False):
        metrics.taken_over(continued=continued)
    name = "axon_relay_adopted_connections_total"
    assert registry.get_sample_value(name, {"outcome": "continued"}) == 2
    assert registry.get_sample_value(name, {"outcome": "closed"}) == 1
