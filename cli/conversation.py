"""A conversation over one socket with the OpenAI SDK, turn after turn."""

import contextlib
import json
from typing import TYPE_CHECKING, Any, Self, TextIO

from openai import OpenAI, OpenAIError
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from axon.protocol.sizes import FRAME_BYTES
from cli.errors import CommandError
from cli.figures import Figures, Stopwatch, Usage

if TYPE_CHECKING:
    from openai.resources.responses.responses import ResponsesConnection
    from openai.types.responses import Response


class TurnError(Exception):
    """A turn got no answer, but the next one may; the message is one line."""


class Conversation:
    """Keeps the connection, and the id of the response that the next turn continues.

    Parameters
    ----------
    url : str
        Base URL for OpenAI's clients.
    model : str
        Model or alias that answers each turn.
    key : str
        API key with its secret.
    """

    def __init__(self, *, url: str, model: str, key: str) -> None:
        self._url = url
        self._model = model
        self._client = OpenAI(api_key=key, base_url=url)
        self._connection: ResponsesConnection | None = None
        self._previous: str | None = None

    def __enter__(self) -> Self:
        self._connection = self._connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._disconnect()
        self._client.close()

    def turn(self, text: str, output: TextIO) -> Figures:
        """Send the text and write the answer as it arrives.

        Raises
        ------
        TurnError
            The request was refused, the response failed, or the connection broke off.
        """
        try:
            watch = Stopwatch()
            self._send(text)
            return watch.figures(self._receive(output, watch))
        except (WebSocketException, OpenAIError, OSError) as error:
            self._disconnect()
            raise TurnError(f"the connection broke off: {one_line(error)}") from error

    def _send(self, text: str) -> None:
        request: dict[str, Any] = {"model": self._model, "input": text}
        if self._previous:
            request["previous_response_id"] = self._previous
        _check_size(request)
        if self._connection is None:
            self._connection = self._connect()
        try:
            self._connection.response.create(**request)
        except ConnectionClosed:
            # API Gateway closes a connection that was idle for ten minutes: that is no error.
            self._connection = self._connect()
            self._connection.response.create(**request)

    def _receive(self, output: TextIO, watch: Stopwatch) -> Usage | None:
        """Write the answer; return its tokens."""
        if self._connection is None:
            raise TurnError("there is no connection")
        for event in self._connection:
            match event.type:
                case "response.output_text.delta":
                    watch.text()
                    output.write(event.delta)
                    output.flush()
                case "response.completed" | "response.incomplete":
                    self._previous = event.response.id
                    output.write("\n")
                    return usage_of(event.response)
                case "response.failed":
                    output.write("\n")
                    raise TurnError(reason_of(event.response.error))
                case "error":
                    raise TurnError(reason_of(getattr(event, "error", None) or event))
        raise TurnError("the connection was closed")

    def _connect(self) -> "ResponsesConnection":
        try:
            return self._client.responses.connect().enter()
        except InvalidStatus as error:
            status = error.response.status_code
            reason = "the key was refused" if status in {401, 403} else f"HTTP status {status}"
            raise CommandError(f"cannot connect to {self._url}: {reason}", code=1) from error
        except (WebSocketException, OpenAIError, OSError) as error:
            reason = one_line(error)
            raise CommandError(f"cannot connect to {self._url}: {reason}", code=1) from error

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(WebSocketException, OSError):
                self._connection.close()
        self._connection = None


def _check_size(request: dict[str, Any]) -> None:
    """Raise for a turn for which the gateway would close the connection, without a reason."""
    # As the SDK writes it: characters outside ASCII have 6 bytes or 12.
    size = len(json.dumps({"type": "response.create", **request}))
    if size > FRAME_BYTES:
        raise TurnError(
            f"the turn has {size:,} bytes with its request, and API Gateway takes WebSocket frames "
            f"of {FRAME_BYTES:,} at most: shorten it, or send it in several turns"
        )


def usage_of(response: "Response") -> Usage | None:
    """Return the tokens of a response, if it says them."""
    if (usage := response.usage) is None:
        return None
    return Usage(
        input=usage.input_tokens,
        output=usage.output_tokens,
        cached=usage.input_tokens_details.cached_tokens,
    )


def reason_of(error: object) -> str:
    """Return an error of the API as one line."""
    code, message = getattr(error, "code", None), getattr(error, "message", None)
    return one_line(f"{message or error}" + (f" ({code})" if code else ""))


def one_line(error: object) -> str:
    """Return an error's text as one line."""
    return " ".join(str(error).split()) or type(error).__name__
