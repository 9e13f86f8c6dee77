"""A model's chat template: the program by which its prompts are written."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Json = dict[str, Any]


class TemplateFailedError(Exception):
    """The template refuses the conversation, or fails on it."""


class Template(Protocol):
    """Writes a prompt, ready for the assistant's answer."""

    def __call__(self, messages: Sequence[Json], tools: Sequence[Json] | None) -> str:
        """Return the prompt.

        Raises
        ------
        TemplateFailedError
            The template refuses the conversation, or fails on it.
        """
        ...


class ChatTemplate(Template):
    """A template as Hugging Face's models have it, run in a sandbox (`template_sandbox`).

    Parameters
    ----------
    source : str
        Its program, in Jinja2's language.
    names : Mapping[str, str]
        Texts of the special tokens that it may use, such as ``bos_token``.

    Raises
    ------
    TemplateFailedError
        It is no program.
    """

    def __init__(self, source: str, *, names: Mapping[str, str] | None = None) -> None:
        # Only here: an engine that renders no prompts needs no Jinja2.
        from worker.engines.template_sandbox import TemplateSandbox

        self.source = source
        self._names = dict(names or {})
        try:
            self._template = TemplateSandbox().from_string(source)
        except Exception as error:
            raise TemplateFailedError(f"The chat template cannot be read: {error}") from error

    def __call__(self, messages: Sequence[Json], tools: Sequence[Json] | None) -> str:
        """Return the prompt.

        Raises
        ------
        TemplateFailedError
            The template refuses the conversation, fails on it, or takes too long.
        """
        from worker.engines.template_sandbox import bounded, joined

        given = {"messages": messages, "tools": tools, "add_generation_prompt": True}
        try:
            with bounded():
                prompt = joined(self._template.generate(**given, **self._names))
            prompt.encode()  # half of a surrogate pair is no text, and no tokenizer takes it
        except Exception as error:  # a template is a program, which raises errors of any kind
            raise TemplateFailedError(f"{type(error).__name__} in the chat template") from error
        return prompt
