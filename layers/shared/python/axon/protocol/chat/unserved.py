"""Fields of Chat Completions that Axon does not serve: refused by name, none is ignored."""

from collections.abc import Mapping
from typing import Any

from axon.protocol.unserved import objects_of, refuse_fields, refuse_unserved_in_tool

HINTS = frozenset({"prediction", "prompt_cache_options", "prompt_cache_retention", "user"})
"""Fields of a request that are taken and change nothing.

A prediction of the answer and the options of a cache can only make the same answer faster; `user`
is an older name of `safety_identifier`.
"""

_SAMPLERS = (
    "dry_allowed_length",
    "dry_base",
    "dry_multiplier",
    "dry_penalty_last_n",
    "dry_sequence_breakers",
    "mirostat",
    "mirostat_eta",
    "mirostat_tau",
    "typical_p",
    "xtc_probability",
    "xtc_threshold",
)
"""Fields of samplers that llama.cpp has, and TGI one of them."""

UNSERVED_SAMPLING: Mapping[str, str] = {
    # Of other servers with these APIs (vLLM, TGI, llama.cpp), which clients send in `extra_body`.
    **dict.fromkeys(_SAMPLERS, "Leave it out: use `temperature` and `top_p`."),
    "add_generation_prompt": "Leave it out: an answer is a new message.",
    "allowed_token_ids": "Leave it out: tokens cannot be chosen.",
    "bad_words": "Leave it out.",
    "chat_template": "Leave it out: the model's own template is used.",
    "chat_template_kwargs": "Leave it out: the model's template is used as it is.",
    "continue_final_message": "Leave it out: an answer is a new message.",
    "ebnf": "Use `response_format` of Chat Completions.",
    "enable_thinking": "Leave it out: the model's template is used as it is.",
    "grammar": "Use `response_format` of Chat Completions.",
    "guided_choice": "Use `response_format` of Chat Completions.",
    "guided_grammar": "Use `response_format` of Chat Completions.",
    "guided_json": "Use `response_format` of Chat Completions.",
    "guided_regex": "Use `response_format` of Chat Completions.",
    "ignore_eos": "Leave it out.",
    "include_stop_str_in_output": "Leave it out: a stop string is no part of an answer.",
    "json_schema": "Use `response_format` of Chat Completions.",
    "length_penalty": "Leave it out.",
    "min_new_tokens": "Leave it out.",
    "min_p": "Leave it out: use `top_p`.",
    "min_tokens": "Leave it out.",
    "options": "Send each option as a field of the request.",
    "prompt_logprobs": "Leave it out: log probabilities are not returned.",
    "reasoning": "Use `reasoning_effort` of Chat Completions.",
    "regex": "Use `response_format` of Chat Completions.",
    "repetition_penalty": "Leave it out: use `frequency_penalty`.",
    "stop_token_ids": "Leave it out: use `stop`.",
    "structured_outputs": "Use `response_format` of Chat Completions.",
    "thinking": "Use `reasoning_effort` of Chat Completions.",
    "use_beam_search": "Leave it out.",
}
"""Fields of this API and the older Completions that change how an answer is made, each with what to
do instead."""

UNSERVED: Mapping[str, str] = {
    **UNSERVED_SAMPLING,
    "best_of": "Leave it out: all answers that are made are shown. Use `n`.",
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

NOTHING: tuple[Any, ...] = (False, "", [], {})
"""Values, beside null, that ask for nothing; zero equals the first."""

HARMLESS: Mapping[str, tuple[Any, ...]] = {
    **dict.fromkeys(UNSERVED_SAMPLING, NOTHING),
    "add_generation_prompt": (True,),
    "best_of": (1,),
    "echo": (False,),
    "function_call": ("auto", "none"),  # without `functions`, which are refused
    "functions": ([],),
    "length_penalty": (1,),
    "logprobs": (False,),
    "modalities": ([], ["text"]),
    "reasoning": ({}, {"enabled": False}),
    "repetition_penalty": (1,),
    "thinking": ({}, {"type": "disabled"}),
    "top_logprobs": (0,),
    "typical_p": (1,),
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
    for where, tool in objects_of(request, "tools"):
        refuse_unserved_in_tool(tool, where=f"{where}.")
        for kind in ("function", "custom"):
            if isinstance(definition := tool.get(kind), dict):
                refuse_unserved_in_tool(definition, where=f"{where}.{kind}.")
