"""Replies of the endpoint: the events and objects of a WebSocket, or an HTTP error."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientResponse

from axon.event_log.log import LoggedEvent
from axon.serialization import loads
from tests.support.eventually import eventually
from tests.support.sdk_events import RESPONSE_FIELDS, validate_stream
from tests.unit.worker.sagemaker.endpoint_harness import QUESTION, EndpointHarness, serving
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.engines.protocol import EngineDeadError, EngineError, RefusedError
from worker.sagemaker.http import CUSTOM_ATTRIBUTES

STREAMED = QUESTION | {"stream": True}


async def events_of(reply: ClientResponse) -> list[LoggedEvent]:
    frames = (await reply.read()).split(b"\n\n")
    assert frames.pop() == b""
    events = []
    for frame in frames:
        kind, data = frame.split(b"\n")
        event = loads(data.removeprefix(b"data: "))
        assert kind == b"event: " + event["type"].encode()
        events.append(LoggedEvent(event["sequence_number"], data.removeprefix(b"data: ")))
    return events


class TestPing:
    async def test_is_200_for_a_healthy_engine(self) -> None:
        async with serving(ScriptedEngine()) as harness, harness.client.get("/ping") as reply:
            assert (reply.status, await reply.read()) == (200, b"")

    async def test_is_503_if_the_engine_cannot_serve(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def ill() -> bool:
            return False

        engine = ScriptedEngine()
        monkeypatch.setattr(engine, "health", ill)
        async with serving(engine) as harness, harness.client.get("/ping") as reply:
            assert reply.status == 503

    async def test_is_503_if_the_engine_does_not_answer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def hang() -> bool:
            await asyncio.Event().wait()
            return True

        engine = ScriptedEngine()
        monkeypatch.setattr(engine, "health", hang)
        monkeypatch.setattr("worker.sagemaker.http.PING_TIMEOUT_S", 0.01)
        async with serving(engine) as harness, harness.client.get("/ping") as reply:
            assert reply.status == 503

    async def test_is_503_while_draining(self) -> None:
        async with serving(ScriptedEngine()) as harness:
            harness.shutdown.drain()
            async with harness.client.get("/ping") as reply:
                assert reply.status == 503


class TestWholeAnswer:
    async def test_is_the_response_object(self) -> None:
        engine = ScriptedEngine(["Hel", "lo"])
        async with serving(engine) as harness:
            status, response = await harness.ask(
                instructions="Be brief.", max_output_tokens=5, temperature=0.5
            )
            assert status == 200
            assert set(response) == RESPONSE_FIELDS
            assert response["output"][0]["content"][0]["text"] == "Hello"
            assert response["status"] == "completed"
            assert response["usage"]["output_tokens"] == 2
            assert engine.requests[0].sampling.temperature == 0.5
            assert engine.requests[0].sampling.max_tokens == 5
            assert [m.content for m in engine.messages[0]] == ["Be brief.", "What?"]
            assert harness.metric("axon_jobs_total", outcome="completed") == 1
            assert harness.metric("axon_requests_processed_total", stage="infer") == 1

    async def test_may_be_incomplete(self) -> None:
        async with serving(ScriptedEngine(["a"], finish="length")) as harness:
            status, response = await harness.ask()
        assert status == 200
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}

    async def test_returns_the_custom_attributes(self) -> None:
        async with serving(ScriptedEngine(["a"])) as harness:
            headers = {CUSTOM_ATTRIBUTES: "trace=7"}
            async with harness.client.post("/invocations", json=QUESTION, headers=headers) as reply:
                assert reply.headers[CUSTOM_ATTRIBUTES] == "trace=7"
                assert reply.content_type == "application/json"

    async def test_is_given_to_several_clients_at_a_time(self) -> None:
        async with serving(ScriptedEngine(["a", "b"], token_s=0.001)) as harness:
            replies = await asyncio.gather(*[harness.ask() for _ in range(20)])
        assert {status for status, _ in replies} == {200}
        assert len({response["id"] for _, response in replies}) == 20


class TestStreamedAnswer:
    async def test_has_the_events_of_a_websocket(self) -> None:
        async with (
            serving(ScriptedEngine(["Hel", "lo, ", "wörld 🌍"], token_s=0.001)) as harness,
            harness.client.post("/invocations", json=STREAMED) as reply,
        ):
            assert reply.content_type == "text/event-stream"
            decoded = validate_stream(await events_of(reply))
        deltas = [e["delta"] for e in decoded if e["type"] == "response.output_text.delta"]
        assert deltas == ["Hel", "lo, ", "wörld 🌍"]
        assert decoded[-1]["response"]["status"] == "completed"

    async def test_sends_events_as_they_are_generated(self) -> None:
        engine = ScriptedEngine(["a", "b"])
        engine.pass_(1)
        async with (
            serving(engine) as harness,
            harness.client.post("/invocations", json=STREAMED) as reply,
        ):
            async with asyncio.timeout(5):
                while b'"delta":"a"' not in await reply.content.readline():
                    pass
            assert engine.given == 1
            engine.pass_(1)
            assert b"response.completed" in await reply.read()

    async def test_failure_after_the_first_token_is_an_event(self) -> None:
        engine = ScriptedEngine(["a", "b"], failures=[(1, EngineError("boom"))], token_s=0.001)
        async with (
            serving(engine) as harness,
            harness.client.post("/invocations", json=STREAMED) as reply,
        ):
            assert reply.status == 200
            decoded = validate_stream(await events_of(reply))
        assert decoded[-1]["type"] == "response.failed"
        assert decoded[-1]["response"]["output"][0]["content"][0]["text"] == "a"

    async def test_death_of_the_engine_after_the_first_token_is_an_event(self) -> None:
        engine = ScriptedEngine(["a", "b"], failures=[(1, EngineDeadError("x"))], token_s=0.001)
        async with (
            serving(engine) as harness,
            harness.client.post("/invocations", json=STREAMED) as reply,
        ):
            decoded = validate_stream(await events_of(reply))
            await eventually(lambda: bool(harness.deaths))
        assert decoded[-1]["type"] == "response.failed"
        assert decoded[-1]["response"]["error"]["code"] == "server_error"


REFUSED: list[tuple[dict[str, Any], int, str, str | None]] = [
    ({"previous_response_id": "resp_1"}, 400, "unsupported_parameter", "previous_response_id"),
    ({"conversation": "conv_1"}, 400, "unsupported_parameter", "conversation"),
    ({"model": "gpt"}, 404, "model_not_found", "model"),
    ({"stream": "yes"}, 400, "invalid_value", "stream"),
    ({"temperature": 3}, 400, "invalid_value", "temperature"),
    ({"background": True}, 400, "unsupported_parameter", "background"),
    ({"input": "x " * 2000}, 400, "context_length_exceeded", None),
    (
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "1"}]},
        400, "tool_call_not_found", "input",
    ),
]  # fmt: skip


class TestRefusedRequest:
    @pytest.mark.parametrize("stream", [{}, {"stream": True}])
    @pytest.mark.parametrize(("fields", "status", "code", "param"), REFUSED)
    async def test_replies_with_the_status_and_the_error_of_openai(
        self,
        fields: dict[str, Any],
        status: int,
        code: str,
        param: str | None,
        stream: dict[str, Any],
    ) -> None:
        async with serving(ScriptedEngine(["a"])) as harness:
            replied, body = await harness.ask(**(stream | fields))
        assert replied == status
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert body["error"]["type"] == "invalid_request_error"
        assert (body["error"]["code"], body["error"]["param"]) == (code, param)

    async def test_replies_400_to_a_body_that_is_not_json(self) -> None:
        async with (
            serving(ScriptedEngine()) as harness,
            harness.client.post("/invocations", data=b"What?") as reply,
        ):
            assert reply.status == 400
            assert (await reply.json())["error"]["code"] == "invalid_json"

    async def test_replies_413_to_too_many_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("worker.sagemaker.http.MAX_BYTES", 1000)
        async with (
            serving(ScriptedEngine()) as harness,
            harness.client.post("/invocations", data=b" " * 1001) as reply,
        ):
            assert reply.status == 413
            assert (await reply.json())["error"]["code"] == "request_too_large"

    async def test_passes_on_the_refusal_of_the_engine(self) -> None:
        engine = ScriptedEngine(["a"], failures=[(0, RefusedError("Use 'text'."))])
        async with serving(engine) as harness:
            status, body = await harness.ask(stream=True)
        assert (status, body["error"]["message"]) == (400, "Use 'text'.")


class TestFailedAnswer:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_replies_500_if_the_engine_fails(self, stream: bool) -> None:
        engine = ScriptedEngine(["a"], failures=[(0, EngineError("CUDA error"))])
        async with serving(engine) as harness:
            status, body = await harness.ask(stream=stream)
            assert harness.metric("axon_jobs_total", outcome="failed") == 1
        assert status == 500
        assert body["error"]["type"] == "server_error"
        assert "CUDA" not in body["error"]["message"]

    async def test_replies_500_if_the_engine_dies(self) -> None:
        death = EngineDeadError("gone")
        async with serving(ScriptedEngine(["a"], failures=[(0, death)])) as harness:
            status, _ = await harness.ask()
            assert (status, harness.deaths) == (500, [death])

    @pytest.mark.parametrize("stream", [False, True])
    async def test_replies_504_after_the_deadline(self, stream: bool) -> None:
        engine = ScriptedEngine(["a"])
        engine.gate.clear()
        limits = {"invocation_timeout_s": 0.05, "stream_timeout_s": 0.05}
        async with serving(engine, **limits) as harness:
            status, body = await harness.ask(stream=stream)
            assert harness.metric("axon_jobs_total", outcome="overdue") == 1
        assert (status, engine.running) == (504, 0)
        assert "deadline" in body["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_endpoint_with_a_full_stage_replies_503(stream: bool) -> None:
    engine = ScriptedEngine(["a"])
    slots = engine.info().slots
    engine.gate.clear()
    async with serving(engine, queue_infer=1) as harness:
        asked = [asyncio.create_task(harness.ask()) for _ in range(slots + 1)]
        await eventually(
            lambda: (
                engine.running == slots and harness.metric("axon_queue_depth", stage="infer") == 1
            )
        )
        async with harness.client.post("/invocations", json=QUESTION | {"stream": stream}) as reply:
            assert reply.status == 503
            assert int(reply.headers["Retry-After"]) > 0
            assert (await reply.json())["error"]["code"] == "server_overloaded"
        assert harness.metric("axon_requests_shed_total", stage="infer", reason="receives") == 1
        engine.gate.set()
        assert [status for status, _ in await asyncio.gather(*asked)] == [200] * (slots + 1)


class TestClientThatDisconnects:
    async def test_frees_the_engine_before_the_first_token(self) -> None:
        await self._leave(ScriptedEngine(["a"]), QUESTION, given=0)

    async def test_frees_the_engine_in_the_middle_of_a_stream(self) -> None:
        engine = ScriptedEngine(["a", "b"])
        engine.pass_(1)
        await self._leave(engine, STREAMED, given=1)

    async def _leave(self, engine: ScriptedEngine, body: dict[str, Any], *, given: int) -> None:
        if not given:
            engine.gate.clear()
        async with serving(engine) as harness:
            asking = asyncio.create_task(self._read(harness, body))
            await eventually(lambda: (engine.running, engine.given) == (1, given))
            asking.cancel()
            await eventually(lambda: engine.running == 0)
            await eventually(lambda: harness.endpoint.running == 0)
            assert harness.metric("axon_worker_slots_used") == 0
            assert harness.metric("axon_jobs_total", outcome="cancelled") == 1

    async def _read(self, harness: EndpointHarness, body: dict[str, Any]) -> None:
        async with harness.client.post("/invocations", json=body) as reply:
            await reply.read()


class TestDraining:
    async def test_lets_running_requests_end_and_begins_none(self) -> None:
        engine = ScriptedEngine(["a"])
        engine.gate.clear()
        async with serving(engine) as harness:
            asking = asyncio.create_task(harness.ask())
            await eventually(lambda: engine.running == 1)
            harness.shutdown.drain()
            status, body = await harness.ask()
            assert (status, body["error"]["code"]) == (503, "server_overloaded")
            engine.gate.set()
            await harness.endpoint.wait(5)
            assert (await asking)[0] == 200

    async def test_replies_503_to_requests_that_do_not_end_in_time(self) -> None:
        engine = ScriptedEngine(["a"])
        engine.gate.clear()
        async with serving(engine) as harness:
            asking = asyncio.create_task(harness.ask())
            await eventually(lambda: engine.running == 1)
            await harness.endpoint.wait(0)
            harness.shutdown.hand_over()
            assert (await asking)[0] == 503
            assert engine.running == 0
