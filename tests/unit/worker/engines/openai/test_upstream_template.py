"""The templates of an upstream that renders prompts: found as if they were here."""

import json
from copy import deepcopy
from typing import Any, cast

import pytest

from tests.unit.worker.engines.template_samples import FAMILIES, Family
from worker.engines.chat_template import TemplateFailedError
from worker.engines.model_formats import GivenFormats
from worker.engines.openai.client import UpstreamClient
from worker.engines.openai.completions import CompletionsApi, completions
from worker.engines.openai.upstream import Upstream
from worker.engines.protocol import (
    ChatMessage,
    EngineError,
    ModelInfo,
    ToolCall,
    ToolSpec,
)

MODEL = ModelInfo("m", context_window=1000, max_output_tokens=1000)


class VllmStub:
    """vLLM's routes as far as prompts go: it takes arguments as text alone, and reads them."""

    def __init__(self, family: Family, *, detokenizes: bool = True) -> None:
        self._template = family.template()
        self._detokenizes = detokenizes

    async def post(self, url: str, body: dict[str, Any], *, timeout_s: float) -> Any:
        assert timeout_s > 0
        if url.endswith("/detokenize"):
            if not self._detokenizes:
                raise EngineError("404")
            return {"prompt": "".join(map(chr, body["tokens"]))}
        messages = deepcopy(body["messages"])
        for call in (call for each in messages for call in each.get("tool_calls", ())):
            arguments = call["function"]["arguments"]
            if not isinstance(arguments, str):
                raise EngineError("400")
            call["function"]["arguments"] = json.loads(arguments)
        try:
            prompt = self._template(messages, body.get("tools"))
        except TemplateFailedError as error:
            raise EngineError("400") from error
        return {"tokens": list(map(ord, prompt))}


async def served(
    stub: VllmStub, given: GivenFormats | None = None
) -> tuple[CompletionsApi, ModelInfo]:
    client = cast("UpstreamClient", stub)
    upstream = Upstream(url="http://upstream.test/v1")
    api, (model,) = await completions(
        client, upstream, models=[MODEL], given=given or GivenFormats()
    )
    return api, model


# vLLM reads arguments, so no template that wants text can be served by it.
SERVED = {name: family for name, family in FAMILIES.items() if name != "deepseek"}


@pytest.mark.parametrize("family", SERVED.values(), ids=SERVED)
async def test_upstream_models_have_the_formats_of_their_templates(family: Family) -> None:
    api, model = await served(VllmStub(family))
    assert model.call_format == family.call_format
    call = ToolCall("call_of_more_than_nine", "f", '{"a": "v"}')
    messages = [
        ChatMessage("user", "ask"),
        ChatMessage("assistant", "", calls=(call,)),
        ChatMessage("tool", "done", call_id=call.id, name="f"),
    ]
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    prompt = await api.assemble("m", messages, tools=[ToolSpec("f", "does it", schema)])
    text = "".join(map(chr, prompt.token_ids))
    assert "does it" in text
    assert "done" in text
    assert family.call in text or family is FAMILIES["mistral"]  # has a short id


async def test_upstream_whose_prompts_cannot_be_read_gets_tools_as_text() -> None:
    stub = VllmStub(FAMILIES["llama"], detokenizes=False)
    _, model = await served(stub)
    assert model.call_format == "hermes"
    api, model = await served(stub, GivenFormats(call="llama3", reasoning="think"))
    assert (model.call_format, model.reasoning_format) == ("llama3", "think")
    prompt = await api.assemble("m", [ChatMessage("user", "ask")], tools=[ToolSpec("f")])
    assert "<tool_call>" not in "".join(map(chr, prompt.token_ids))
