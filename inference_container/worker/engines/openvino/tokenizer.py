"""A GGUF model's tokenizer and chat template, by OpenVINO."""

import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from worker.engines.protocol import ChatMessage, Prompt, RefusedError
from worker.engines.rendering import plain_messages

# OpenVINO cuts a text to the context window, so that a longer one is encoded in pieces. They end
# where no token can span: after a special token, or before the space of a new word. A message of a
# whole window without any such place is still counted short.
_PIECES = re.compile(r".{1000,}?(?:(?<=[A-Za-z])(?=\s[A-Za-z])|(?<=<\|im_end\|>))|.+", re.DOTALL)


class ChatTokenizer:
    """Renders conversations and knows the bytes of each token.

    Parameters
    ----------
    longest
        The tokens to which OpenVINO cuts a text: the model's context window.

    Attributes
    ----------
    vocabulary
        The bytes of each token by id; empty for special tokens.
    stop_token_ids
        The tokens that end an answer.
    """

    def __init__(self, model: Path, *, stop_tokens: Sequence[str], longest: int) -> None:
        import openvino_genai

        self._longest = longest
        self._tokenizer: Any = openvino_genai.Tokenizer(str(model))
        ids: dict[bytes, int] = self._tokenizer.get_vocab()
        self.stop_token_ids = frozenset(ids[token.encode()] for token in stop_tokens)
        self.vocabulary = self._text_bytes(sorted(ids, key=ids.__getitem__))

    def render(self, messages: Sequence[ChatMessage]) -> Prompt:
        """Render by the model's template, open for the assistant's answer."""
        history = plain_messages(messages)
        try:
            text: str = self._tokenizer.apply_chat_template(history, add_generation_prompt=True)
            token_ids = self._encode(text)
            if len(token_ids) >= self._longest:
                token_ids = list(chain.from_iterable(map(self._encode, _PIECES.findall(text))))
        except RuntimeError as error:
            raise RefusedError("The conversation cannot be rendered for the model.") from error
        return Prompt(token_ids=tuple(token_ids), text=text)

    def _encode(self, text: str) -> list[int]:
        token_ids: list[int] = (
            self._tokenizer.encode(text, add_special_tokens=False).input_ids.data[0].tolist()
        )
        return token_ids

    def _text_bytes(self, tokens: Sequence[bytes]) -> tuple[bytes, ...]:
        alone = [[token_id] for token_id in range(len(tokens))]
        shown = self._tokenizer.decode(alone, skip_special_tokens=False)
        kept = self._tokenizer.decode(alone, skip_special_tokens=True)
        return tuple(
            token if a == b else b"" for token, a, b in zip(tokens, shown, kept, strict=True)
        )
