"""ChatRenderer: prompts by a model's own chat template, safe from forged control tokens."""

from collections.abc import Sequence
from functools import partial

from worker.engines.chat_template import ChatTemplate
from worker.engines.control_tokens import ControlTokens, Mark
from worker.engines.model_formats import FOUND, GivenFormats, ModelFormats, usable
from worker.engines.protocol import ChatMessage, ToolSpec
from worker.engines.rendering import render_tolerantly
from worker.engines.template_messages import template_input
from worker.engines.template_style import style_of


class ChatRenderer:
    """Writes the prompts of one model.

    Parameters
    ----------
    template : ChatTemplate
        The model's own.
    control : ControlTokens
        The tokens that no text from outside may become.
    given : GivenFormats
        The operator's settings.

    Attributes
    ----------
    formats : ModelFormats
        How the model writes calls and reasoning.
    """

    def __init__(
        self,
        template: ChatTemplate,
        *,
        control: ControlTokens,
        given: GivenFormats = FOUND,
    ) -> None:
        self._template = template
        self._control = control
        self._style = usable(style_of(template), given)
        self.formats = ModelFormats.found(self._style, source=template.source, given=given)

    def render(self, messages: Sequence[ChatMessage], tools: Sequence[ToolSpec]) -> list[str]:
        """Return a prompt, ready for the answer, to be encoded piece by piece.

        Raises
        ------
        TemplateFailedError
            The template refuses the conversation, or fails on it.
        """
        return render_tolerantly(
            lambda taken: self._control.render(partial(self._prompt, taken, tools)), messages
        )

    def _prompt(
        self, messages: Sequence[ChatMessage], tools: Sequence[ToolSpec], mark: Mark
    ) -> str:
        shown, functions = template_input(messages, tools, style=self._style, mark=mark)
        return self._template(shown, functions)
