"""Fields of Chat Completions that Axon does not serve: refused by name, none is ignored."""

from collections.abc import Mapping
from typing import Any

from axon.protocol.unserved import refuse_fields

HINTS = frozenset({"prediction", "prompt_cache_options", "prompt_cache_retention", "user"})
"""Fields of a request that are taken and change nothing.

A prediction of the answer and the options of a cache can only make the same answer faster; `user`
is an older name of `safety_identifier`.
"""

UNSERVED_SAMPLING: Mapping[str, str] = {
    "logit_bias": "Leave it out: tokens cannot be weighted.",
    "n": "Send one request for each answer.",
    "seed": "Leave it out: sampling cannot be repeated.",
    "stop": "Leave it out: stop sequences are not served.",
    # Of other servers with these APIs (vLLM, TGI, llama.cpp), which clients send in `extra_body`.
    "bad_words": "Leave it out.",
    "chat_template": "Leave it out: the model's own template is used.",
    "chat_template_kwargs": "Leave it out: the model's template is used as it is.",
    "continue_final_message": "Leave it out: an answer is a new message.",
    "grammar": "Use `response_format` of Chat Completions.",
    "guided_choice": "Use `response_format` of Chat Completions.",
    "guided_grammar": "Use `response_format` of Chat Completions.",
    "guided_json": "Use `response_format` of Chat Completions.",
    "guided_regex": "Use `response_format` of Chat Completions.",
    "ignore_eos": "Leave it out.",
    "min_p": "Leave it out: use `top_p`.",
    "min_tokens": "Leave it out.",
    "repetition_penalty": "Leave it out: use `frequency_penalty`.",
    "stop_token_ids": "Leave it out: stop sequences are not served.",
    "structured_outputs": "Use `response_format` of Chat Completions.",
    "top_k": "Leave it out: use `top_p`.",
    "use_beam_search": "Leave it out.",
}
"""Fields of this API and the older Completions that change how an answer is made, each with what to
do instead."""

UNSERVED: Mapping[str, str] = {
    **UNSERVED_SAMPLING,
    "best_of": "Leave it out: one answer is made.",
    "echo": "Leave it out: the request is not repeated.",
    "audio": "Leave it out: only text is made.",
    "function_call": "Use `tool_choice`.",
    "functions": "Use `tools`.",
    "logprobs": "Leave it out: log probabilities are not returned.",
    "modalities": 'Leave it out or use ["text"]: only text is made.',
    "moderation": "Leave it out: nothing is moderated.",
    "top_logprobs": "Leave it out or use 0: log probabilities are not returned.",
    "web_search_options": "Leave it out: there is no web search.",
}
"""Fields of a request that are refused, each with what to do instead."""

HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "best_of": (1,),
    "chat_template_kwargs": ({},),
    "continue_final_message": (False,),
    "echo": (False,),
    "function_call": ("auto", "none"),  # without `functions`, which are refused
    "functions": ([],),
    "ignore_eos": (False,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "min_p": (0,),
    "min_tokens": (0,),
    "modalities": ([], ["text"]),
    "n": (1,),
    "repetition_penalty": (1,),
    "stop": ([], ""),
    "stop_token_ids": ([],),
    "top_k": (-1, 0),
    "top_logprobs": (0,),
    "use_beam_search": (False,),
}
"""Values that ask for nothing but what is served anyway; null is one everywhere."""


def refuse_unserved(request: Mapping[str, Any]) -> None:
    """Refuse a request, not validated yet, that asks for something that is not served.

    Raises
    ------
    RequestError
        It has such a field; the error names it.
    """
    refuse_fields(request, UNSERVED, harmless=HARMLESS)
