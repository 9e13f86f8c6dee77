"""Requests of invocations: the body of ``POST /v1/responses``, validated like any other."""

from collections.abc import Collection
from dataclasses import dataclass

from axon.clock import now_ms
from axon.directory.models import unknown_model
from axon.exceptions import RequestError
from axon.ids import new_id
from axon.jobs import FOLLOWED_FLUSH_MS, Job, new_job
from axon.protocol.messages import parse_object
from axon.protocol.objects import Json, response_object
from axon.protocol.requests import CreateResponse, parse_body
from axon.protocol.unserved import refuse_tools
from axon.responses.calls import check_calls
from axon.tenants.principal import ALL_SCOPES, Principal

_WEBSOCKET_ONLY = {"type", "stream_id", "generate", "idempotency_key"}
_STATEFUL = ("previous_response_id", "conversation")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job, and whether its client wants the events as a stream."""

    job: Job
    streamed: bool


def accept(body: bytes, *, models: Collection[str]) -> Accepted:
    """Return the job of a request body, which is never stored.

    Raises
    ------
    RequestError
        The request is refused.
    """
    value = parse_object(body)
    for name in _STATEFUL:
        if value.get(name) is not None:
            raise RequestError(
                f"Unsupported parameter: '{name}'. This endpoint keeps nothing between requests. "
                "Send the whole conversation as 'input'.",
                code="unsupported_parameter",
                param=name,
            )
    streamed = _streamed(value)
    fields = {name: field for name, field in value.items() if name not in _WEBSOCKET_ONLY}
    request = parse_body(fields | {"store": False})
    if request.model not in models:
        raise unknown_model(request.model)
    refuse_tools(request.tools or (), ignored=())
    check_calls(request, [])
    return Accepted(_job(request), streamed)


def _streamed(value: Json) -> bool:
    stream = value.get("stream")
    if not isinstance(stream, bool | None):
        raise RequestError(
            "Invalid 'stream': must be true or false.", code="invalid_value", param="stream"
        )
    return stream is True


def _job(request: CreateResponse) -> Job:
    created_ms = now_ms()
    return new_job(
        request,
        response=response_object(
            request, response_id=new_id("resp"), created_at=created_ms // 1000
        ),
        # AWS authenticates the request and does not say who made it.
        principal=Principal(tenant_id="", key_id="", scopes=ALL_SCOPES),
        connection_id="",
        conversation_id=new_id("conv"),
        created_ms=created_ms,
        message_bytes=None,  # HTTP, whose events may have any length
        flush_ms=FOLLOWED_FLUSH_MS,
    )
