"""The renderer of a model that vLLM serves, from its Hugging Face tokenizer."""

from typing import Any

from worker.engines.chat_renderer import ChatRenderer
from worker.engines.chat_template import ChatTemplate
from worker.engines.control_tokens import ControlTokens
from worker.engines.model_formats import GivenFormats


def renderer_of(tokenizer: Any, *, given: GivenFormats) -> ChatRenderer | None:
    """Return the renderer of a tokenizer's model, None if it has no chat template.

    Parameters
    ----------
    tokenizer : Any
        A tokenizer of the library transformers.
    given : GivenFormats
        The operator's settings.

    Raises
    ------
    TemplateFailedError
        The template is no program.
    """
    source = tokenizer.chat_template
    if isinstance(source, dict):  # several by name: the others are for uses of their own
        source = source.get("default")
    if not isinstance(source, str):
        return None
    names = {name: text for name, text in tokenizer.special_tokens_map.items() if text}
    control = ControlTokens(each.content for each in tokenizer.added_tokens_decoder.values())
    return ChatRenderer(ChatTemplate(source, names=names), control=control, given=given)
