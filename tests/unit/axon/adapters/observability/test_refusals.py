import pytest
from prometheus_client import CollectorRegistry

from axon.adapters.observability.refusals import Refusals
from axon.formats import Format, UnreadableError


def test_refusals_count_each_and_log_the_first_of_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now, registry = 0.0, CollectorRegistry()
    refusals = Refusals(registry=registry, clock=lambda: now)
    for now in (0.0, 2.0, 59.0, 60.0):  # noqa: B007 - read by the clock
        refusals(UnreadableError(Format.REGISTRATION, "it has version 2", newer=True))
    refusals(UnreadableError(Format.JOB, "tenant_id: missing"))
    counted = registry.get_sample_value
    assert counted("axon_unreadable_total", {"format": "registration"}) == 4
    assert counted("axon_unreadable_total", {"format": "job"}) == 1
    assert counted("axon_unreadable_total", {"format": "turn"}) == 0
    assert len(caplog.messages) == 3
    assert caplog.messages[0] == "set aside, no readable registration: it has version 2"
