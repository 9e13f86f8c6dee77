from axon.adapters.observability.metrics import exposition
from tests.unit.front.front_harness import FrontHarness


async def test_metrics_name_routes_and_never_what_clients_send(harness: FrontHarness) -> None:
    harness.metrics.watch(harness.context, ready=lambda: True)
    answer, response_id = await harness.stream()
    async with harness.client.get(f"/v1/responses/{response_id}"):
        pass
    async with harness.client.request("MOVE", "/some/path"):
        pass
    shown = exposition(harness.registry).decode()
    assert 'axon_front_answers_total{route="POST /v1/responses",status="200"} 1.0' in shown
    retrieved = 'axon_front_answers_total{route="GET /v1/responses/{response_id}",status="200"} 1.0'
    assert retrieved in shown
    assert 'axon_front_answers_total{route="unknown",status="404"} 1.0' in shown
    assert response_id not in shown
    assert "axon_front_requests 1.0" in shown
    assert "axon_front_responses 1.0" in shown
    assert "axon_front_sockets 0.0" in shown
    assert "axon_front_ready 1.0" in shown
    answer.close()
