"""Requests and jobs as clients make them."""

from typing import Any

from axon.ids import new_id
from axon.jobs import Job, new_job
from axon.protocol.objects import response_object
from axon.protocol.requests import CreateResponse, parse_event
from axon.tenants.principal import Principal
from tests.support.principals import a_principal

TENANT = "tenant-1"
CONNECTION = "connection-1"
MODEL = "echo"


def a_request(**fields: Any) -> CreateResponse:
    """Return a request as it is parsed from a client's message."""
    body = {"type": "response.create", "model": MODEL, "input": "hello"} | fields
    request = parse_event(body)
    assert isinstance(request, CreateResponse)
    return request


def a_job(
    *,
    tenant_id: str = TENANT,
    principal: Principal | None = None,
    connection_id: str = CONNECTION,
    conversation_id: str | None = None,
    **fields: Any,
) -> Job:
    """Return a job as the response service makes it."""
    request = a_request(**fields)
    return new_job(
        request,
        response=response_object(request, response_id=new_id("resp"), created_at=1_700_000_000),
        principal=principal or a_principal(tenant_id),
        connection_id=connection_id,
        conversation_id=conversation_id or new_id("conv"),
        created_ms=1_700_000_000_123,
    )
