"""``GET /v1/models`` and ``GET /v1/models/{id}``, in OpenAI's shape and in Anthropic's."""

from collections.abc import Sequence

from aiohttp import web

from axon.protocol.anthropic.models import LIMIT, MOST, model_object, model_page
from axon.protocol.objects import Json
from front.context import FrontContext
from front.errors import EITHER
from front.operations.answers.models import AnthropicModel, AnthropicModelPage, Model, ModelList
from front.operations.operation import JSON, Answer, Operation
from front.operations.parameters import ANTHROPIC_VERSION, Integer, PathParameter, Text
from front.requests import speaks_anthropic
from front.routing import Call, Route, json_answer

_OWNER = "axon"
_PAGES_ONLY = "With `anthropic-version` only"
_LIMIT = Integer(
    "limit", f"{_PAGES_ONLY}: most models of the page.", default=LIMIT, least=1, most=MOST
)
_AFTER = Text("after_id", f"{_PAGES_ONLY}: the last model of the page before.")
_BEFORE = Text("before_id", f"{_PAGES_ONLY}: the first model of the page after.")
_LIST = Operation(
    id="listModels",
    tag="Models",
    summary="List the models that requests may name",
    description="Models that workers have registered, the deployment's own, and aliases. With the "
    "header `anthropic-version` as Anthropic's API lists them, in pages.",
    parameters=(ANTHROPIC_VERSION, _LIMIT, _AFTER, _BEFORE),
    answers={200: Answer("The models.", {JSON: ModelList | AnthropicModelPage})},
    refusals=(400,),
)
_ONE = Operation(
    id="getModel",
    tag="Models",
    summary="Retrieve a model",
    description="With the header `anthropic-version` as Anthropic's API shows it.",
    parameters=(
        PathParameter("model", "The model's name, which may have slashes."),
        ANTHROPIC_VERSION,
    ),
    answers={200: Answer("The model.", {JSON: Model | AnthropicModel})},
    refusals=(404,),
)


def routes(context: FrontContext) -> Sequence[Route]:
    """Return the routes of models; a name may have slashes, as in ``meta-llama/Llama-3.1-8B``."""

    async def list_models(call: Call) -> web.Response:
        limit = _LIMIT.of(call.request.query)
        names = await context.models.names()
        if speaks_anthropic(call.request):
            return json_answer(_page(call.request, names, limit=limit))
        return json_answer({"object": "list", "data": [_model(name) for name in names]})

    async def retrieve(call: Call) -> web.Response:
        name = call.request.match_info["model"]
        await context.models.require(name)
        shown = model_object if speaks_anthropic(call.request) else _model
        return json_answer(shown(name))

    return (
        Route(
            method="GET",
            path="/v1/models",
            operation=_LIST,
            endpoint=list_models,
            errors=EITHER,
        ),
        Route(
            method="GET",
            path=r"/v1/models/{model:.+}",
            operation=_ONE,
            endpoint=retrieve,
            errors=EITHER,
        ),
    )


def _page(request: web.Request, names: list[str], *, limit: int) -> Json:
    """Return a page of models as Anthropic's API does; OpenAI's has no pages of them."""
    query = request.query
    return model_page(
        names,
        limit=limit,
        after_id=_AFTER.of(query),
        before_id=_BEFORE.of(query),
    )


def _model(name: str) -> Json:
    # Nobody notes when a model was made; the SDKs need a number.
    return {"id": name, "object": "model", "created": 0, "owned_by": _OWNER}
