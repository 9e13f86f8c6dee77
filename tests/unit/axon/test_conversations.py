import pytest

from axon.conversations import Turn
from tests.unit.axon.samples import a_job


@pytest.mark.parametrize(("store", "connection_id"), [(True, None), (False, "connection-1")])
def test_turn_has_what_its_job_has(store: bool, connection_id: str | None) -> None:
    job = a_job(store=store, previous_response_id="resp_0")
    turn = Turn.of(job, output=[{"type": "message"}])
    assert turn.response_id == job.response_id
    assert turn.previous_response_id == "resp_0"
    assert turn.conversation_id == job.conversation_id
    assert turn.connection_id == connection_id
    assert turn.input == job.input
    assert turn.output == [{"type": "message"}]
    assert Turn.decode(turn.encode()) == turn


@pytest.mark.parametrize(
    ("store", "tenant_id", "connection_id", "visible"),
    [
        (True, "tenant-1", "connection-1", True),
        (True, "tenant-1", "connection-2", True),
        (True, "tenant-2", "connection-1", False),
        (False, "tenant-1", "connection-1", True),
        (False, "tenant-1", "connection-2", False),
        (False, "tenant-2", "connection-1", False),
    ],
)
def test_turn_is_visible_to_its_tenant_and_connection(
    store: bool, tenant_id: str, connection_id: str, visible: bool
) -> None:
    turn = Turn.of(a_job(store=store), output=[])
    assert turn.visible_to(tenant_id=tenant_id, connection_id=connection_id) is visible
