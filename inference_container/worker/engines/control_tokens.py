"""ControlTokens: text from outside that reads like a control token stays text.

A tokenizer finds control tokens (``<|im_start|>``) by their text, wherever that stands. A user who
writes one could end the own turn and open one of the system.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Sequence

from worker.engines.protocol import ChatMessage
from worker.engines.rendering import plain_messages


class ControlTokens:
    """Renders conversations in pieces, between which forged control tokens are cut.

    Each piece is encoded by itself, so that the tokenizer meets no forged token. A conversation
    without any is one piece, and gets the same tokens as ever.

    Parameters
    ----------
    texts : Iterable[str]
        Texts of the control tokens. One of a single character cannot be cut, and is left.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        longer = sorted({re.escape(text) for text in texts if len(text) > 1})
        # The character at which a control token begins; the next one may begin inside it.
        self._begins = re.compile(f"(?=(?:{'|'.join(longer)}))(.)", re.DOTALL) if longer else None

    def render(
        self, messages: Sequence[ChatMessage], template: Callable[[list[dict[str, str]]], str]
    ) -> list[str]:
        """Return the rendered conversation, to be encoded piece by piece.

        Parameters
        ----------
        messages : Sequence[ChatMessage]
            The conversation.
        template : Callable[[list[dict[str, str]]], str]
            Renders messages by the model's chat template, which has real control tokens.
        """
        plain = plain_messages(messages)
        begins = self._begins
        if begins is None or not any(begins.search(message["content"]) for message in plain):
            return [template(plain)]
        # Letters and digits only, which no template changes; random, so that no client can know it.
        cut = f"cut{secrets.token_hex(16)}"
        marked = [
            message | {"content": begins.sub(rf"\g<1>{cut}", message["content"])}
            for message in plain
        ]
        return template(marked).split(cut)
