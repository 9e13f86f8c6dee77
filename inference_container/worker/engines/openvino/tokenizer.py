"""Tokenizer and chat template of a GGUF model, by OpenVINO."""

import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from worker.engines.chat_renderer import ChatRenderer
from worker.engines.chat_template import ChatTemplate, TemplateFailedError
from worker.engines.control_tokens import ControlTokens
from worker.engines.model_formats import GivenFormats, ModelFormats
from worker.engines.protocol import ChatMessage, Prompt, RefusedError, ToolSpec

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
    formats : GivenFormats
        The operator's settings.

    Raises
    ------
    TemplateFailedError
        The model's chat template is no program.

    Attributes
    ----------
    vocabulary : tuple[bytes, ...]
        The bytes of each token by id; empty for special tokens.
    stop_token_ids : frozenset[int]
        The tokens that end an answer.
    formats : ModelFormats
        How the model writes calls and reasoning.
    """

    def __init__(
        self,
        model: Path,
        *,
        stop_tokens: Sequence[str],
        max_tokens: int,
        formats: GivenFormats,
    ) -> None:
        import openvino_genai

        self._max_tokens = max_tokens
        self._tokenizer: Any = openvino_genai.Tokenizer(str(model))
        ids: dict[bytes, int] = self._tokenizer.get_vocab()
        self.stop_token_ids = frozenset(ids[token.encode()] for token in stop_tokens)
        tokens = sorted(ids, key=ids.__getitem__)
        self.vocabulary = self._text_bytes(tokens)
        control = ControlTokens(
            token.decode(errors="ignore")
            for token, text in zip(tokens, self.vocabulary, strict=True)
            if token and not text
        )
        template = ChatTemplate(
            self._tokenizer.get_original_chat_template(),
            names={
                "bos_token": self._tokenizer.get_bos_token(),
                "eos_token": self._tokenizer.get_eos_token(),
            },
        )
        self._renderer = ChatRenderer(template, control=control, given=formats)
        self.formats: ModelFormats = self._renderer.formats

    def render(self, messages: Sequence[ChatMessage], tools: Sequence[ToolSpec]) -> Prompt:
        """Render by the model's chat template, ready for the assistant's answer.

        Raises
        ------
        RefusedError
            The template cannot render the conversation.
        """
        try:
            pieces = self._renderer.render(messages, tools)
            token_ids = tuple(chain.from_iterable(map(self._encode_whole, pieces)))
        except (RuntimeError, TemplateFailedError) as error:
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
