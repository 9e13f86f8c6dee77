"""``POST /v1/request_bodies``: URLs to which clients upload bodies of requests."""

from collections.abc import Sequence
from functools import partial

from aiohttp import web

from axon.protocol.bodies import parse
from axon.protocol.uploads import CreateRequestBody
from axon.uploads import not_served
from front.context import FrontContext
from front.operations import request_bodies as described
from front.routing import Call, Route, json_answer


def routes(context: FrontContext) -> Sequence[Route]:
    """Return the route of uploads."""

    async def create(call: Call) -> web.Response:
        tenant_id = call.principal.tenant_id
        make = partial(parse, CreateRequestBody)
        asked = await context.bodies.parsed(call.request, make, room=call.room)
        if (uploads := context.bodies.uploads) is None:
            raise not_served()
        made = await uploads.begin(size=asked.bytes, sha256=asked.sha256, tenant_id=tenant_id)
        signed = made.signed
        return json_answer(
            {
                "id": made.id,
                "object": "request_body",
                "bytes": asked.bytes,
                "sha256": asked.sha256,
                "upload": {
                    "method": "PUT",
                    "url": signed.url,
                    "headers": signed.headers,
                    "expires_at": signed.expires_at,
                },
            }
        )

    return (
        Route(
            method="POST",
            path="/v1/request_bodies",
            operation=described.CREATE,
            endpoint=create,
        ),
    )
