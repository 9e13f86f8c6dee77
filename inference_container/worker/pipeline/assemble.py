"""assemble: the request to the engine, with as much of the conversation as fits."""

import logging
from collections.abc import Sequence
from itertools import accumulate
from zlib import crc32

from axon.conversations import Turn
from axon.exceptions import RequestError
from axon.jobs import Job
from worker.engines.protocol import (
    ChatMessage,
    Engine,
    GenerateRequest,
    ModelInfo,
    Prompt,
    RefusedError,
    Sampling,
    ToolSpec,
)
from worker.metrics import WorkerMetrics
from worker.pipeline.fit import Search, cuts, input_limit, stepped
from worker.pipeline.messages import Conversation
from worker.pipeline.tools import check_choice, shown_tools

logger = logging.getLogger(__name__)

# Approximate length of what a chat template adds to a message; only estimates depend on it.
_TEMPLATE_CHARACTERS = 20


async def assemble(
    job: Job,
    turns: Sequence[Turn],
    *,
    engine: Engine,
    metrics: WorkerMetrics,
    request_id: str,
    generated_token_ids: tuple[int, ...] = (),
) -> GenerateRequest:
    """Return the request for the engine.

    Raises
    ------
    RequestError
        The prompt leaves no room for an answer, or the model is to call a tool and cannot.
    RefusedError
        The model is not served here, or its template does not take the conversation.
    """
    model = _model(job, engine)
    check_choice(job.response, model)
    dropped, prompt = await _fitting(job, turns, engine=engine, model=model)
    room = model.context_window - len(prompt.token_ids)
    if room <= 0:
        raise _overflow(job, prompt, model=model, kept=len(turns) - dropped)
    if dropped:
        logger.info("%s: %d of %d turns are left out", job.response_id, dropped, len(turns))
        metrics.truncated(dropped, model=model.id)
    wanted = job.response["max_output_tokens"] or model.max_output_tokens
    chosen = job.sampling
    text_format = job.response["text"]["format"]
    formatted = text_format["type"] != "text"
    return GenerateRequest(
        request_id=request_id,
        model=model.id,
        prompt=prompt,
        sampling=Sampling(
            max_tokens=min(wanted, model.max_output_tokens, room),
            temperature=chosen.get("temperature"),
            top_p=chosen.get("top_p"),
            presence_penalty=chosen.get("presence_penalty"),
            frequency_penalty=chosen.get("frequency_penalty"),
            top_k=job.top_k,
            seed=_seed(job, formatted=formatted),
            stop=job.stop,
            logit_bias=job.logit_bias,
        ),
        generated_token_ids=generated_token_ids,
        priority=job.priority,
        text_format=text_format if formatted else None,
        conversation_id=job.conversation_id,
    )


async def count(job: Job, turns: Sequence[Turn], *, engine: Engine) -> int:
    """Return the tokens of the prompt that `assemble` would make, also if they leave no room.

    Raises
    ------
    RefusedError
        Nobody knows the tokens before the model is asked, or as `assemble`.
    """
    _, prompt = await _fitting(job, turns, engine=engine, model=_model(job, engine))
    if prompt.estimated:
        raise RefusedError(
            f"Tokens cannot be counted for the model '{job.model}': the server that runs it does "
            "not tell them. Read the `usage` of an answer."
        )
    return len(prompt.token_ids)


def _model(job: Job, engine: Engine) -> ModelInfo:
    model = next((m for m in engine.info().models if m.id == job.model), None)
    if model is None:
        raise RefusedError(f"This worker does not serve the model '{job.model}'.")
    return model


def _seed(job: Job, *, formatted: bool) -> int | None:
    """Return the seed that the client has sent, or one for an answer in a format.

    An engine cannot enter a grammar in the middle: to continue such an answer, it generates that
    from the beginning again, and must make the same choices.
    """
    if job.seed is not None:
        return job.seed
    return crc32(job.response_id.encode()) if formatted else None


async def _fitting(
    job: Job, turns: Sequence[Turn], *, engine: Engine, model: ModelInfo
) -> tuple[int, Prompt]:
    """Return how many turns to leave out, and the prompt without them.

    None if all fit, else those of whole steps (`stepped`). If not even instructions and input fit,
    the prompt consists of those.
    """
    conversation = Conversation.of(job, turns)
    tools = shown_tools(job.response) if model.call_format is not None else []
    places = cuts(turns, job.input) if job.response["truncation"] == "auto" else [0]
    limit = input_limit(
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        asked=job.response["max_output_tokens"],
    )
    sizes = _sizes(conversation, tools)
    search = Search([sizes[place] for place in places], limit=limit)
    best = 0, Prompt((), "")
    while (probe := search.probe) is not None:
        dropped = places[probe]
        prompt = await engine.assemble(model.id, conversation.without(dropped), tools=tools)
        if search.record(probe, len(prompt.token_ids)) or not search.found:
            best = dropped, prompt
    least, prompt = best
    if not least or not search.found:
        return best
    place = stepped(
        places, sizes, least=least, tokens=len(prompt.token_ids), window=model.context_window
    )
    if place == least:
        return best
    return place, await engine.assemble(model.id, conversation.without(place), tools=tools)


def _sizes(conversation: Conversation, tools: Sequence[ToolSpec]) -> list[int]:
    """Return the approximate characters of the prompts without 0, 1, 2, ... of the oldest turns."""
    always = _characters([*conversation.instructions, *tools, *conversation.input])
    newest_first = map(_characters, reversed(conversation.turns))
    return list(accumulate(newest_first, initial=always))[::-1]


def _characters(shown: Sequence[ChatMessage | ToolSpec]) -> int:
    return sum(len(each.text) + _TEMPLATE_CHARACTERS for each in shown)


def _overflow(job: Job, prompt: Prompt, *, model: ModelInfo, kept: int) -> RequestError:
    what = f"instructions, input and {kept} earlier turns" if kept else "instructions and input"
    about = "about " if prompt.estimated else ""
    truncated = job.response["truncation"] == "auto"
    truncate = "set 'truncation' to 'auto' to leave out its oldest turns, " if kept else ""
    return RequestError(
        f"The conversation exceeds the model's context window of {model.context_window} tokens: "
        f"{what} have {about}{len(prompt.token_ids)} tokens. "
        f"Shorten the input, {'' if truncated else truncate}or start a new conversation.",
        code="context_length_exceeded",
        param="input",
    )
