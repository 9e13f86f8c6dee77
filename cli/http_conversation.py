"""Conversations over HTTP with the SDKs of OpenAI and Anthropic: Responses, Chat and Messages."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Self, TextIO

from anthropic import Anthropic, AnthropicError
from anthropic.types import MessageParam
from httpx2 import HTTPError
from openai import OpenAI, OpenAIError
from openai.types.chat import ChatCompletionMessageParam
from typing_extensions import override

from cli.conversation import TurnError, one_line, reason_of, usage_of
from cli.figures import Figures, Stopwatch, Usage

MESSAGES_MAX_TOKENS = 1024
"""The Messages API has no default."""


class HttpConversation(ABC):
    """A conversation whose turns are requests with a stream of server-sent events each.

    Parameters
    ----------
    url, model, key : str, str, str
        As of `cli.conversation.Conversation`.
    """

    @abstractmethod
    def __init__(self, *, url: str, model: str, key: str) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def turn(self, text: str, output: TextIO) -> Figures:
        """Send the text, and write the answer as it arrives.

        Raises
        ------
        TurnError
            The request was refused, the answer failed, or the connection broke off.
        """
        watch, usage = Stopwatch(), None
        try:
            for piece in self._answer(text):
                if isinstance(piece, Usage):
                    usage = piece
                else:
                    watch.text()
                    output.write(piece)
                    output.flush()
        except (OpenAIError, AnthropicError, HTTPError, OSError) as error:
            raise TurnError(_reason(error)) from error
        output.write("\n")
        return watch.figures(usage)

    @abstractmethod
    def _answer(self, text: str) -> Iterator[str | Usage]:
        """Yield the pieces of the answer, and its tokens when they are known."""

    @abstractmethod
    def _close(self) -> None: ...


class ResponsesConversation(HttpConversation):
    """A conversation with the Responses API: the server keeps it."""

    def __init__(self, *, url: str, model: str, key: str) -> None:
        self._model = model
        self._client = OpenAI(api_key=key, base_url=url)
        self._previous: str | None = None

    @override
    def _answer(self, text: str) -> Iterator[str | Usage]:
        request: dict[str, Any] = {"model": self._model, "input": text}
        if self._previous:
            request["previous_response_id"] = self._previous
        with self._client.responses.create(stream=True, **request) as stream:
            for event in stream:
                match event.type:
                    case "response.output_text.delta":
                        yield event.delta
                    case "response.completed" | "response.incomplete":
                        self._previous = event.response.id
                        if usage := usage_of(event.response):
                            yield usage
                        return
                    case "response.failed":
                        raise TurnError(reason_of(event.response.error))
                    case "error":
                        raise TurnError(reason_of(event))
        raise TurnError("the connection broke off")

    @override
    def _close(self) -> None:
        self._client.close()


class ChatConversation(HttpConversation):
    """A conversation with Chat Completions: each request has all of it."""

    def __init__(self, *, url: str, model: str, key: str) -> None:
        self._model = model
        self._client = OpenAI(api_key=key, base_url=url)
        self._messages: list[ChatCompletionMessageParam] = []

    @override
    def _answer(self, text: str) -> Iterator[str | Usage]:
        messages: list[ChatCompletionMessageParam] = [
            *self._messages,
            {"role": "user", "content": text},
        ]
        pieces = []
        with self._client.chat.completions.create(
            model=self._model,
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            for chunk in stream:
                if chunk.choices and (piece := chunk.choices[0].delta.content):
                    pieces.append(piece)
                    yield piece
                if used := chunk.usage:
                    details = used.prompt_tokens_details
                    yield Usage(
                        input=used.prompt_tokens,
                        output=used.completion_tokens,
                        cached=(details and details.cached_tokens) or 0,
                    )
        self._messages = [*messages, {"role": "assistant", "content": "".join(pieces)}]

    @override
    def _close(self) -> None:
        self._client.close()


class MessagesConversation(HttpConversation):
    """A conversation with Anthropic's Messages API: each request has all of it.

    Anthropic's SDK adds ``/v1`` itself, so it gets the URL without.
    """

    def __init__(self, *, url: str, model: str, key: str) -> None:
        self._model = model
        self._client = Anthropic(api_key=key, base_url=url.rstrip("/").removesuffix("/v1"))
        self._messages: list[MessageParam] = []

    @override
    def _answer(self, text: str) -> Iterator[str | Usage]:
        messages: list[MessageParam] = [*self._messages, {"role": "user", "content": text}]
        with self._client.messages.stream(
            model=self._model, messages=messages, max_tokens=MESSAGES_MAX_TOKENS
        ) as stream:
            yield from stream.text_stream
            message = stream.get_final_message()
        used = message.usage
        cached = used.cache_read_input_tokens or 0
        yield Usage(input=used.input_tokens + cached, output=used.output_tokens, cached=cached)
        answer = "".join(block.text for block in message.content if block.type == "text")
        self._messages = [*messages, {"role": "assistant", "content": answer}]

    @override
    def _close(self) -> None:
        self._client.close()


CONVERSATIONS: dict[str, type[HttpConversation]] = {
    "responses": ResponsesConversation,
    "chat": ChatConversation,
    "messages": MessagesConversation,
}
"""The classes by the names of their APIs."""


def _reason(error: Exception) -> str:
    """Return the API's own message where it sent one: the SDKs put status and body around it."""
    body = getattr(error, "body", None)
    details = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(details, dict) or not details.get("message"):
        return one_line(error)
    code = details.get("code") or details.get("type")
    return one_line(f"{details['message']} ({code})" if code else details["message"])
