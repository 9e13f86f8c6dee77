"""``GET /v1/models`` and ``GET /v1/models/{id}``, in OpenAI's shape and in Anthropic's."""

from aiohttp import web

from axon.protocol.anthropic.models import LIMIT, MOST, model_object, model_page
from axon.protocol.objects import Json
from front.context import FrontContext
from front.requests import integer_of, speaks_anthropic
from front.routing import Call, add_route, json_answer

_OWNER = "axon"


def add_routes(application: web.Application, context: FrontContext) -> None:
    """Add the routes of models; a name may have slashes, as in ``meta-llama/Llama-3.1-8B``."""

    async def list_models(call: Call) -> web.Response:
        names = await context.models.names()
        if speaks_anthropic(call.request):
            return json_answer(_page(call.request, names))
        return json_answer({"object": "list", "data": [_model(name) for name in names]})

    async def retrieve(call: Call) -> web.Response:
        name = call.request.match_info["model"]
        await context.models.require(name)
        shown = model_object if speaks_anthropic(call.request) else _model
        return json_answer(shown(name))

    add_route(application, context, "GET", "/v1/models", list_models)
    add_route(application, context, "GET", r"/v1/models/{model:.+}", retrieve)


def _page(request: web.Request, names: list[str]) -> Json:
    """Return a page of models as Anthropic's API does; OpenAI's has no pages of them."""
    query = request.query
    return model_page(
        names,
        limit=integer_of(query, "limit", default=LIMIT, least=1, most=MOST),
        after_id=query.get("after_id"),
        before_id=query.get("before_id"),
    )


def _model(name: str) -> Json:
    # Nobody notes when a model was made; the SDKs need a number.
    return {"id": name, "object": "model", "created": 0, "owned_by": _OWNER}
