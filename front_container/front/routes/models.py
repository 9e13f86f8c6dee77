"""``GET /v1/models`` and ``GET /v1/models/{id}``, in OpenAI's shape."""

from aiohttp import web

from axon.protocol.objects import Json
from front.context import FrontContext
from front.routing import Call, add_route, json_answer

_OWNER = "axon"


def add_routes(application: web.Application, context: FrontContext) -> None:
    """Add the routes of models; a name may have slashes, as in ``meta-llama/Llama-3.1-8B``."""

    async def list_models(_call: Call) -> web.Response:
        names = await context.models.names()
        return json_answer({"object": "list", "data": [_model(name) for name in names]})

    async def retrieve(call: Call) -> web.Response:
        name = call.request.match_info["model"]
        await context.models.require(name)
        return json_answer(_model(name))

    add_route(application, context, "GET", "/v1/models", list_models)
    add_route(application, context, "GET", r"/v1/models/{model:.+}", retrieve)


def _model(name: str) -> Json:
    # Nobody notes when a model was made; the SDKs need a number.
    return {"id": name, "object": "model", "created": 0, "owned_by": _OWNER}
