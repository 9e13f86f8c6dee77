"""Upstreams that return token ids: vLLM's server, by ``/tokenize`` and ``/completions``."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from typing_extensions import override

from axon.protocol.objects import Usage
from worker.engines.model_formats import GivenFormats
from worker.engines.openai import shapes
from worker.engines.openai.answer import UpstreamAnswer
from worker.engines.openai.api import UpstreamApi, reason_of, sampling_fields
from worker.engines.openai.client import Call, UpstreamClient
from worker.engines.openai.upstream import Upstream
from worker.engines.openai.upstream_template import UpstreamTemplate
from worker.engines.protocol import (
    ChatMessage,
    EngineError,
    GenerateRequest,
    ModelInfo,
    Prompt,
    TokenChunk,
    ToolSpec,
)
from worker.engines.rendering import one_system_message
from worker.engines.template_messages import template_input
from worker.engines.template_style import TemplateStyle

_TEXT = TemplateStyle(tools=False, calls=None)


class CompletionsApi(UpstreamApi):
    """Prompts and answers in the model's own tokens.

    Parameters
    ----------
    client : UpstreamClient
        Sends the requests; its owner closes it.
    root : str
        URL of vLLM's own routes, without ``/v1``.
    timeout_s : float
        Limit for rendering a prompt, in seconds.
    styles : Mapping[str, TemplateStyle]
        What each model's template shows, by the model's name.
    """

    def __init__(
        self,
        *,
        client: UpstreamClient,
        root: str,
        timeout_s: float,
        styles: Mapping[str, TemplateStyle],
    ) -> None:
        self._client = client
        self._styles = styles
        self._url = f"{root}/tokenize"
        self._timeout_s = timeout_s

    @override
    async def assemble(
        self, model: str, messages: Sequence[ChatMessage], *, tools: Sequence[ToolSpec] = ()
    ) -> Prompt:
        """Render by the model's own chat template, in the upstream.

        Raises
        ------
        EngineError
            The upstream returns no tokens.
        ShapeError
            They are no token ids.
        """
        style = self._styles.get(model, _TEXT)
        shown, functions = template_input(one_system_message(messages), tools, style=style)
        body: dict[str, Any] = {"model": model, "messages": shown, "add_generation_prompt": True}
        if functions:
            body["tools"] = functions
        reply = await self._client.post(self._url, body, timeout_s=self._timeout_s)
        if not isinstance(reply, dict) or not isinstance(reply.get("tokens"), list):
            raise EngineError("The upstream's /tokenize tells no tokens: AXON_UPSTREAM_KIND=openai")
        return Prompt(token_ids=tuple(shapes.token_ids(reply["tokens"], "tokens") or ()), text="")

    @override
    def answer(self, request: GenerateRequest, model: ModelInfo) -> "CompletionsAnswer":
        return CompletionsAnswer(request, model)


async def completions(
    client: UpstreamClient,
    upstream: Upstream,
    *,
    models: Sequence[ModelInfo],
    given: GivenFormats,
) -> tuple[CompletionsApi, tuple[ModelInfo, ...]]:
    """Return the API of an upstream, and its models with the formats that prompts show.

    Parameters
    ----------
    client : UpstreamClient
        Sends the requests; its owner closes it.
    upstream : Upstream
        The server, with its time limits.
    models : Sequence[ModelInfo]
        The models that it serves.
    given : GivenFormats
        The operator's settings.
    """
    styles: dict[str, TemplateStyle] = {}
    found: list[ModelInfo] = []
    for model in models:
        template = UpstreamTemplate(
            client, root=upstream.root, model=model.id, timeout_s=upstream.connect_timeout_s
        )
        styles[model.id], formats = await template.style(given)
        found.append(formats.added_to(model))
    api = CompletionsApi(
        client=client,
        root=upstream.root,
        timeout_s=upstream.first_token_timeout_s,
        styles=styles,
    )
    return api, tuple(found)


class CompletionsAnswer(UpstreamAnswer):
    """One answer by completions.

    vLLM searches for stop strings itself, but returns ids of text that it holds back. So it is
    asked to show all of it (`include_stop_str_in_output`), and text that may be the beginning of a
    stop string waits here.
    """

    def __init__(self, request: GenerateRequest, model: ModelInfo) -> None:
        super().__init__(request, model)
        self._cached = 0

    @override
    def call(self) -> Call | None:
        request, left = self._request, self._left
        if left <= 0:
            self.reason = self.reason or "length"
        if self.reason is not None:
            return None
        self._begin_stream()
        body: dict[str, Any] = {
            "model": request.model,
            "prompt": [*request.prompt.token_ids, *self._ids],
            "max_tokens": left,
            "stream": True,
            "stream_options": {"include_usage": True},  # for the cached tokens alone
            "return_token_ids": True,
            "include_stop_str_in_output": True,
        }
        if request.parsed:
            body["skip_special_tokens"] = False
        return Call(
            "completions", body | sampling_fields(request.sampling, resumed_at=len(self._ids))
        )

    @override
    def take(self, event: dict[str, Any]) -> TokenChunk | None:
        self._cached = shapes.cached_tokens(event.get("usage")) or self._cached
        choice = shapes.choice_of(event)
        if not choice:
            return None
        text = self._characters.add(shapes.content_text(choice.get("text"), "choices[0].text"))
        ids = shapes.token_ids(choice.get("token_ids"), "choices[0].token_ids")
        if self.reason is not None:
            return None  # nothing follows the end of an answer
        reason = reason_of(choice)
        if ids is None and (text or reason is None):
            raise EngineError(
                "The upstream tells no token ids: update it, or set AXON_UPSTREAM_KIND=openai."
            )
        # Only now: an answer that has a reason is complete, and no failure is reported any more.
        self.reason = reason
        # The token that ends an answer has no text and is no part of it. `stop_reason` is a stop
        # string, whose tokens are part of it; else an id, or None for the model's own end token.
        ended_by_token = self.reason == "stop" and not isinstance(choice.get("stop_reason"), str)
        self._chunks.add((ids or [])[:-1] if ended_by_token else ids or [], text)
        self._end_at_stop_string()
        # Once the end is known, all that is left belongs into the last chunk.
        return self._passed_on(None if self.reason is not None else self._chunks.take())

    @override
    def last(self) -> TokenChunk:
        """Return the chunk that ends the answer, with the usage if some of its prompt was cached.

        vLLM tells that only with `--enable-prompt-tokens-details`; the ids tell all the rest.
        """
        chunk = super().last()
        if not self._cached:
            return chunk
        read = len(self._request.prompt.token_ids)
        usage = Usage(
            input_tokens=read,
            output_tokens=len(self._ids) + len(chunk.token_ids),
            cached_tokens=min(self._cached, read),
        )
        return replace(chunk, usage=usage)
