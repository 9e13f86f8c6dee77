"""Tokenizer and chat template of a GGUF model, by OpenVINO."""

import re
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from worker.engines.control_tokens import ControlTokens
from worker.engines.protocol import ChatMessage, Prompt, RefusedError

# OpenVINO truncates a text to the context window, so a longer one is encoded in pieces. One ends
# where no token can span the cut: after a special token, or before the space of a new word. A
# message of a whole window without any such place is still counted short.
_PIECES = re.compile(r".{1000,}?(?:(?<=[A-Za-z])(?=\s[A-Za-z])|(?<=<\|im_end\|>))|.+", re.DOTALL)


class ChatTokenizer:
    """Renders conversations and knows the bytes of each token.

    Parameters
    ----------
    model : Path
        The GGUF file, which has the vocabulary and the chat template.
    stop_tokens : Sequence[str]
        Texts of the special tokens that end an answer.
    max_tokens : int
        Tokens to which OpenVINO truncates a text: the model's context window.

    Attributes
    ----------
    vocabulary : tuple[bytes, ...]
        The bytes of each token by id; empty for special tokens.
    stop_token_ids : frozenset[int]
        The tokens that end an answer.
    """

    def __init__(self, model: Path, *, stop_tokens: Sequence[str], max_tokens: int) -> None:
        import openvino_genai

        self._max_tokens = max_tokens
        self._tokenizer: Any = openvino_genai.Tokenizer(str(model))
        ids: dict[bytes, int] = self._tokenizer.get_vocab()
        self.stop_token_ids = frozenset(ids[token.encode()] for token in stop_tokens)
        tokens = sorted(ids, key=ids.__getitem__)
        self.vocabulary = self._text_bytes(tokens)
        self._control_tokens = ControlTokens(
            token.decode(errors="ignore")
            for token, text in zip(tokens, self.vocabulary, strict=True)
            if token and not text
        )

    def render(self, messages: Sequence[ChatMessage]) -> Prompt:
        """Render by the model's chat template, ready for the assistant's answer.

        Raises
        ------
        RefusedError
            The template cannot render the conversation.
        """
        template = partial(self._tokenizer.apply_chat_template, add_generation_prompt=True)
        try:
            pieces = self._control_tokens.render(messages, template)
            token_ids = tuple(chain.from_iterable(map(self._encode_whole, pieces)))
        except RuntimeError as error:
            raise RefusedError("The conversation cannot be rendered for the model.") from error
        return Prompt(token_ids=token_ids, text="".join(pieces))

    def _encode_whole(self, text: str) -> list[int]:
        token_ids = self._encode(text)
        if len(token_ids) >= self._max_tokens:
            return list(chain.from_iterable(map(self._encode, _PIECES.findall(text))))
        return token_ids

    def _encode(self, text: str) -> list[int]:
        token_ids: list[int] = (
            self._tokenizer.encode(text, add_special_tokens=False).input_ids.data[0].tolist()
        )
        return token_ids

    def _text_bytes(self, tokens: Sequence[bytes]) -> tuple[bytes, ...]:
        single = [[token_id] for token_id in range(len(tokens))]
        with_special = self._tokenizer.decode(single, skip_special_tokens=False)
        without_special = self._tokenizer.decode(single, skip_special_tokens=True)
        return tuple(
            token if a == b else b""
            for token, a, b in zip(tokens, with_special, without_special, strict=True)
        )
