"""The chat templates of an upstream with vLLM's API, which renders prompts itself."""

import asyncio
from collections.abc import Sequence

from typing_extensions import override

from worker.engines.chat_template import Json, Template, TemplateFailedError
from worker.engines.model_formats import GivenFormats, ModelFormats, usable
from worker.engines.openai.client import UpstreamClient
from worker.engines.protocol import EngineError
from worker.engines.template_style import CallStyle, TemplateStyle, style_of

_UNSEEN = CallStyle(ids="own", arguments="text", no_text=None)
"""Style of a template whose prompts cannot be read, where the operator says that it has calls."""


class UpstreamTemplate(Template):
    """One model's template; it is called in a thread, and asks the upstream for each prompt.

    Parameters
    ----------
    client : UpstreamClient
        Sends the requests, on the loop on which this is created.
    root : str
        URL of vLLM's own routes, without ``/v1``.
    model : str
        The model.
    timeout_s : float
        Limit of each request.
    """

    def __init__(self, client: UpstreamClient, *, root: str, model: str, timeout_s: float) -> None:
        self._client = client
        self._root = root
        self._model = model
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()

    async def style(self, given: GivenFormats) -> tuple[TemplateStyle, ModelFormats]:
        """Return what the template shows, and how the model writes calls and reasoning."""
        style = await asyncio.to_thread(style_of, self)
        if not style.beginning and given.call is not None:
            style = TemplateStyle(tools=True, calls=_UNSEEN)
        style = usable(style, given)
        source = style.beginning + style.example
        return style, ModelFormats.found(style, source=source, given=given)

    @override
    def __call__(self, messages: Sequence[Json], tools: Sequence[Json] | None) -> str:
        shown: Json = {"messages": messages} | ({"tools": tools} if tools else {})
        prompt = asyncio.run_coroutine_threadsafe(self._prompt(shown), self._loop)
        try:
            return prompt.result()
        except (EngineError, LookupError, TypeError) as error:
            raise TemplateFailedError("The upstream does not render it.") from error

    async def _prompt(self, shown: Json) -> str:
        body = {"model": self._model, "add_generation_prompt": True, **shown}
        ids = await self._post("tokenize", body)
        text = await self._post("detokenize", {"model": self._model, "tokens": ids["tokens"]})
        return str(text["prompt"])

    async def _post(self, route: str, body: Json) -> Json:
        url = f"{self._root}/{route}"
        reply: Json = await self._client.post(url, body, timeout_s=self._timeout_s)
        return reply
