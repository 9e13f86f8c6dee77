"""Engine that passes requests on to an OpenAI-compatible server (the upstream)."""

import asyncio
import logging
import math
import traceback
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from typing_extensions import override

from axon.retry import backoff
from axon.tracebacks import describe
from worker.engines.model_formats import FOUND, GivenFormats, ModelFormats
from worker.engines.openai.answer import UpstreamAnswer
from worker.engines.openai.api import UpstreamApi
from worker.engines.openai.calls import CALL_FORMAT
from worker.engines.openai.chat_completions import ChatCompletionsApi
from worker.engines.openai.client import NewSession, UpstreamClient, new_session
from worker.engines.openai.completions import completions
from worker.engines.openai.discovery import detect_kind, served_models
from worker.engines.openai.errors import NO_END, ClosedError, StalledError, TransientError
from worker.engines.openai.generation import UpstreamGeneration
from worker.engines.openai.shapes import ShapeError
from worker.engines.openai.upstream import Upstream
from worker.engines.protocol import (
    BusyError,
    ChatMessage,
    ContextOverflowError,
    Engine,
    EngineDeadError,
    EngineError,
    EngineInfo,
    GenerateRequest,
    ModelInfo,
    Prompt,
    TokenChunk,
    ToolSpec,
    UnusableAnswerError,
)
from worker.engines.request_checks import (
    find_model,
    refuse_format,
    refuse_sampling,
    token_budget,
)
from worker.engines.slots import Slots

logger = logging.getLogger(__name__)

_HEALTHY_S = 5.0
"""Seconds after a response for which the upstream counts as healthy."""
_FIRST_PAUSE_S = 0.2
_BUSY_PAUSE_S = 2.0
"""Longest pause in seconds for which a request that a busy upstream refused keeps its slot. A
longer one is waited for in the queue, where it takes nothing from the worker's other models."""
_AFTER_END_S = 2.0
"""Longest time in seconds for what follows the end of an answer (the usage, `[DONE]`). Servers send
it at once or not at all, and a complete answer must not wait for a stream that stays open."""


class OpenAiEngine(Engine):
    """Asks the upstream for each answer, and for the rest of it when the stream breaks.

    A continued answer equals the uninterrupted one if it is greedy and the upstream continues a
    message as it would have done without the break.
    """

    def __init__(
        self,
        *,
        slots: int,
        upstream: Upstream,
        session: NewSession = new_session,
        formats: GivenFormats = FOUND,
    ) -> None:
        self._upstream = upstream
        self._formats = formats
        self._new_session = session
        self._slots = Slots(slots)
        self._info = EngineInfo(models=(), slots=slots)
        self._client: UpstreamClient | None = None
        self._api: UpstreamApi = ChatCompletionsApi()

    @override
    async def start(self) -> None:
        """Ask the upstream for its models and its kind.

        Raises
        ------
        EngineError
            It cannot be asked, or serves no model.
        """
        upstream = self._upstream
        client = self._client = UpstreamClient(upstream, session=self._new_session)
        try:
            models = await served_models(client, upstream)
            kind = await detect_kind(client, upstream, model=models[0].id)
            if kind == "vllm":
                self._api, models = await completions(
                    client, upstream, models=models, given=self._formats
                )
            else:
                formats = ModelFormats.of(self._formats, call=CALL_FORMAT)
                models = tuple(map(formats.added_to, models))
        except BaseException:
            await self.close()
            raise
        self._info = EngineInfo(models=models, slots=self._info.slots)

    @override
    async def close(self) -> None:
        self._slots.end_all(EngineDeadError("The engine was closed."))
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @override
    def info(self) -> EngineInfo:
        return self._info

    @override
    async def abort(self, request_id: str) -> None:
        self._slots.end(request_id)

    @override
    async def health(self) -> bool:
        """Return whether the upstream answered within the last 5 s, or answers now."""
        client, upstream = self._client, self._upstream
        if client is None:
            return False
        if asyncio.get_running_loop().time() - client.answered_at < _HEALTHY_S:
            return True
        try:
            await client.get(f"{upstream.url}/models", timeout_s=upstream.connect_timeout_s)
        except EngineError:
            return False
        return True

    @override
    async def assemble(
        self, model: str, messages: Sequence[ChatMessage], *, tools: Sequence[ToolSpec] = ()
    ) -> Prompt:
        find_model(self._info.models, model)
        self._running()
        with _readable(model):
            return await self._api.assemble(model, messages, tools=tools)

    @override
    async def prepare(self, request: GenerateRequest) -> None:
        refuse_format(request)
        refuse_sampling(request, *self._api.MISSING)

    @override
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        refuse_format(request)
        client = self._running()
        model = find_model(self._info.models, request.model)
        token_budget(request, model.context_window)  # refuse before waiting for a slot
        generation = UpstreamGeneration(request.request_id, priority=request.priority)
        try:
            await self._slots.enter(generation)
            with _readable(model.id):
                async with aclosing(self._chunks(request, model, client, generation)) as chunks:
                    async for chunk in chunks:
                        yield chunk
        finally:
            self._slots.leave(generation)

    async def _chunks(
        self,
        request: GenerateRequest,
        model: ModelInfo,
        client: UpstreamClient,
        generation: UpstreamGeneration,
    ) -> AsyncGenerator[TokenChunk, None]:
        answer = self._api.answer(request, model)
        retries = _Retries(self._upstream)
        while generation.is_running() and (call := answer.call()) is not None:
            try:
                async with aclosing(client.events(call, generation)) as events:
                    async for event in events:
                        chunk = _taken(answer, event)
                        retries.progressed()
                        if chunk is not None and generation.is_running():
                            yield chunk
                        if answer.full or _is_over(answer, generation, text=chunk is not None):
                            break
            except (EngineError, ShapeError) as error:
                # A complete answer needs nothing more from its stream, whatever follows in it.
                if answer.reason is None:
                    await _recover(error, model, retries, answer, generation)
        if generation.is_running():
            yield answer.last()

    def _running(self) -> UpstreamClient:
        if self._client is None:
            raise EngineDeadError("The engine does not run.")
        return self._client


class _Retries:
    """The retries that one answer has left.

    No pause ends later than the limit for a first token after the answer's last event. So the
    answer is silent for at most twice that limit: the pauses with the requests between them, and
    one last request. The worker counts a longer silence as a hang (`worker.models.start`).
    """

    def __init__(self, upstream: Upstream) -> None:
        self._left = upstream.retries
        self._max_silence_s = upstream.first_token_timeout_s
        self._pauses = backoff(first_s=_FIRST_PAUSE_S)
        self._progress_at = _now()
        self._closed = False

    def progressed(self) -> None:
        """Note that the upstream has sent something."""
        self._progress_at = _now()

    async def pause_after(
        self,
        error: TransientError | StalledError,
        answer: UpstreamAnswer,
        generation: UpstreamGeneration,
    ) -> None:
        """Wait before the next request.

        A stalled upstream is asked again only if the answer has begun. Before the first token it
        may still work on the request, and a second one would add to its load.

        Raises
        ------
        TransientError, StalledError
            The given error, if there is no retry, the pause would make the silence too long, or it
            would hold the slot for long because the upstream is busy.
        ShapeError
            The connection was closed before the answer's end, for the second time.
        """
        self._refuse_second_close(error)
        transient = error if isinstance(error, TransientError) else None
        retry_after_s = (transient.retry_after_s if transient else None) or 0.0
        stalled = transient is None and not answer.begun
        pause_s = max(next(self._pauses), retry_after_s)
        until = _now() + pause_s
        late = until > self._progress_at + self._max_silence_s
        busy = transient is not None and transient.busy
        if not self._left or stalled or late or (busy and pause_s > _BUSY_PAUSE_S):
            raise error
        self._left -= 1
        logger.warning("%s: %s. Asking again.", generation.request_id, _logged(error))
        await generation.wait(until=until)

    def _refuse_second_close(self, error: EngineError) -> None:
        """Take the second close of a connection for the upstream's own end of its streams.

        One close may be a crash. An upstream that ends every answer so would else be paid for as
        many generations as there are retries, and the texts would follow each other.
        """
        if not isinstance(error, ClosedError):
            return
        if self._closed:
            raise ShapeError("the stream", f"was ended twice by a closed connection {NO_END}")
        self._closed = True


def _logged(error: TransientError | StalledError) -> str:
    """Return an error for the log: an upstream's own words may quote the prompt."""
    if isinstance(error, TransientError) and error.status is not None:
        return f"the upstream answered HTTP {error.status}"
    return describe(error.__cause__ or error)


def _taken(answer: UpstreamAnswer, event: dict[str, Any] | None) -> TokenChunk | None:
    if event is None:
        answer.done()
        return None
    return answer.take(event)


def _is_over(answer: UpstreamAnswer, generation: UpstreamGeneration, *, text: bool) -> bool:
    """Return whether enough was waited for what follows the answer's end; begin to wait there.

    Called behind the chunk of an event: the time that its reader takes does not count. Text
    restarts the wait, because some gateways send a reason with each event.
    """
    if answer.reason is None:
        return False
    if text or generation.read_until == math.inf:
        generation.read_until = _now() + _AFTER_END_S
    return _now() > generation.read_until


async def _recover(
    error: EngineError | ShapeError,
    model: ModelInfo,
    retries: _Retries,
    answer: UpstreamAnswer,
    generation: UpstreamGeneration,
) -> None:
    """Wait before the rest of an answer is asked for, if another request may help.

    Raises
    ------
    EngineError, ShapeError
        It would not.
    """
    if isinstance(error, ContextOverflowError):
        raise _overflow(model, error) from error
    if not isinstance(error, TransientError | StalledError):
        raise error
    await retries.pause_after(error, answer, generation)


@contextmanager
def _readable(model: str) -> Iterator[None]:
    """Turn what reading an upstream's answer raises into one failure of the request.

    An error of another kind would count as a bug of the worker, and the job would be tried again
    after 30 s, each time with a whole generation that ends the same.

    Raises
    ------
    BusyError
        The upstream has no room, in whichever of its routes it says so.
    UnusableAnswerError
        The answer, or a part of it, has another shape than OpenAI's API.
    """
    try:
        yield
    except TransientError as error:
        if not error.busy:
            raise
        raise BusyError(str(error), retry_after_s=error.retry_after_s or 0.0) from error
    except EngineError:
        raise
    except ShapeError as error:
        raise _unusable(model, str(error)) from None
    except Exception as error:
        # Without the message, and not as the cause: both may have text of the answer.
        place = traceback.extract_tb(error.__traceback__)[-1]
        logger.error(  # noqa: TRY400
            "an answer of %s: %s in %s:%s", model, type(error).__name__, place.name, place.lineno
        )
        raise _unusable(model, f"an event raised {type(error).__name__}") from None


def _unusable(model: str, problem: str) -> UnusableAnswerError:
    logger.warning("an answer of %s cannot be read: %s", model, problem)
    return UnusableAnswerError(
        f"The answer of the upstream model '{model}' cannot be read: {problem}. "
        "The operator must correct the upstream before the request can succeed."
    )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _overflow(model: ModelInfo, error: ContextOverflowError) -> ContextOverflowError:
    return ContextOverflowError(
        f"The prompt does not fit the context window of '{model.id}' "
        f"({model.context_window} tokens): {error}"
    )
