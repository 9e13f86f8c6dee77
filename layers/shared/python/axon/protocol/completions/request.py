"""The body of ``POST /v1/completions``, and the Responses request that it stands for."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from axon.protocol.chat.request import TOO_MANY_CHOICES, CompletionRequest
from axon.protocol.chat.unserved import HARMLESS as HARMLESS_IN_CHAT
from axon.protocol.chat.unserved import UNSERVED_SAMPLING
from axon.protocol.items import Message
from axon.protocol.refusals import refusal_of
from axon.protocol.unserved import refuse_fields
from axon.protocol.view_requests import ViewRequest

DEFAULT_TOKENS = 16
"""Length of an answer to a request that sets none: the API's own default, which tools rely on."""

HINTS = frozenset({"user"})
"""Fields that are taken and change nothing, as in Chat Completions."""

UNSERVED: Mapping[str, str] = {
    **UNSERVED_SAMPLING,
    "best_of": "Leave it out: all answers that are made are shown. Use `n`.",
    "echo": "Leave it out: the prompt is not repeated.",
    "logprobs": "Leave it out: log probabilities are not returned.",
    "suffix": "Leave it out: nothing can be inserted before a text.",
}
"""Fields of a request that are refused, each with what to do instead."""

HARMLESS: Mapping[str, tuple[Any, ...]] = {**HARMLESS_IN_CHAT, "logprobs": (), "suffix": ("",)}
_REMEDIES = {
    "n": TOO_MANY_CHOICES,
    "prompt": "Send one text: of several prompts, each is a request of its own, and token ids are "
    "not taken.",
}


def _one_text(prompt: Any) -> Any:
    """Return the text of a list of one text, which many tools send."""
    return prompt[0] if isinstance(prompt, list) and len(prompt) == 1 else prompt


class TextRequest(CompletionRequest):
    """A Completions request: the fields that are served."""

    prompt: Annotated[str, BeforeValidator(_one_text)]


def parse_text(value: Mapping[str, Any]) -> TextRequest:
    """Validate a decoded body.

    Raises
    ------
    RequestError
        A field is missing, wrong, too long or not served; it names the first such field.
    """
    refuse_fields(value, UNSERVED, harmless=HARMLESS)
    try:
        return TextRequest.model_validate(value)
    except ValidationError as error:
        raise refusal_of(error, remedies=_REMEDIES) from error


def to_create_response(request: TextRequest) -> ViewRequest:
    """Return the Responses request whose answer is shown as the completion.

    The prompt is a message of the user, since the served models answer chats: what follows it is
    an answer to it, not its continuation in the same sentence.
    """
    return ViewRequest(
        idempotency_key=request.idempotency_key,
        model=request.model,
        # A list, because a string has a limit of its own.
        input=[Message(role="user", content=request.prompt)],
        max_output_tokens=request.max_tokens or DEFAULT_TOKENS,
        **request.sampling,
        store=False,
    )
