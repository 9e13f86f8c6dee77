"""ControlTokens: text from outside that reads like a control token stays text.

A tokenizer finds control tokens (``<|im_start|>``) by their text, wherever that stands. A user who
writes one could end the own turn and open one of the system.
"""

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

Mark: TypeAlias = Callable[[str], str]
"""Takes a text from outside as it will stand in the prompt; returns it with its forged control
tokens marked."""


class ControlTokens:
    """Renders prompts in pieces, between which forged control tokens are cut.

    Each piece is encoded by itself, so that the tokenizer meets no forged token. A prompt without
    any is one piece, and gets the same tokens as ever.

    Parameters
    ----------
    texts : Iterable[str]
        Texts of the control tokens. One of a single character cannot be cut, and is left; so is
        white space, which some vocabularies have tokens of.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        longer = sorted({re.escape(text) for text in texts if len(text) > 1 and text.strip()})
        # The character at which a control token begins; the next one may begin inside it.
        self._begins = re.compile(f"(?=(?:{'|'.join(longer)}))(.)", re.DOTALL) if longer else None

    def render(self, template: Callable[[Mark], str]) -> list[str]:
        """Return a prompt, to be encoded piece by piece.

        Parameters
        ----------
        template : Callable[[Mark], str]
            Returns the prompt, in which every text from outside has passed the function that it is
            given. The template's own control tokens have not.
        """
        begins = self._begins
        if begins is None:
            return [template(str)]
        # Letters and digits only, which no template escapes; random: no client can know it.
        cut = f"cut{secrets.token_hex(16)}"
        forged = 0

        def mark(text: str) -> str:
            nonlocal forged
            marked, count = begins.subn(rf"\g<1>{cut}", text)
            forged += count
            return marked

        prompt = template(mark)
        # A template may write a text in capitals.
        return re.split(cut, prompt, flags=re.IGNORECASE) if forged else [prompt]


def marked(value: Any, mark: Mark) -> Any:
    """Return a JSON value with all its texts marked, names of fields as well."""
    match value:
        case str():
            return mark(value)
        case dict():
            return {mark(name): marked(each, mark) for name, each in value.items()}
        case list() | tuple():
            return [marked(each, mark) for each in value]
    return value
