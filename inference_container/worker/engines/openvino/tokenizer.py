"""A GGUF model's tokenizer and chat template, by OpenVINO."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from worker.engines.protocol import ChatMessage, Prompt, RefusedError


class ChatTokenizer:
    """Renders conversations and knows the bytes of each token.

    Attributes
    ----------
    vocabulary
        The bytes of each token by id; empty for special tokens.
    stop_token_ids
        The tokens that end an answer.
    """

    def __init__(self, model: Path, *, stop_tokens: Sequence[str]) -> None:
        import openvino_genai

        self._tokenizer: Any = openvino_genai.Tokenizer(str(model))
        ids: dict[bytes, int] = self._tokenizer.get_vocab()
        self.stop_token_ids = frozenset(ids[token.encode()] for token in stop_tokens)
        self.vocabulary = self._text_bytes(sorted(ids, key=ids.__getitem__))

    def render(self, messages: Sequence[ChatMessage]) -> Prompt:
        """Render by the model's template, open for the assistant's answer.

        OpenVINO cuts what exceeds the context window to exactly the window's length.
        """
        history = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text = self._tokenizer.apply_chat_template(history, add_generation_prompt=True)
            tokens = self._tokenizer.encode(text, add_special_tokens=False).input_ids
        except RuntimeError as error:
            raise RefusedError("The conversation cannot be rendered for the model.") from error
        return Prompt(token_ids=tuple(tokens.data[0].tolist()), text=text)

    def _text_bytes(self, tokens: Sequence[bytes]) -> tuple[bytes, ...]:
        alone = [[token_id] for token_id in range(len(tokens))]
        shown = self._tokenizer.decode(alone, skip_special_tokens=False)
        kept = self._tokenizer.decode(alone, skip_special_tokens=True)
        return tuple(
            token if a == b else b"" for token, a, b in zip(tokens, shown, kept, strict=True)
        )
