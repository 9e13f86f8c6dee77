"""Fingerprints of requests, by which a repeated request is recognized, also by another version."""

from hashlib import sha256

from axon.protocol.requests import CreateResponse

_FIRST_FIELDS = frozenset(
    {
        "background",
        "conversation",
        "frequency_penalty",
        "generate",
        "idempotency_key",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "parallel_tool_calls",
        "presence_penalty",
        "previous_response_id",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_id",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "type",
    }
)
"""Fields of a request that its fingerprint has always contained. Never add to them."""


def fingerprint(request: CreateResponse) -> str:
    """Return a digest of a request, by which a repetition of it is recognized.

    A client may send its request again to a function of another version, which must find the same
    digest. So a field that was added after the first version counts only if the client has set it;
    null is what absence is. Axon itself sets `early_usage`, by the API that the request came to.
    """
    added = type(request).model_fields.keys() - _FIRST_FIELDS
    unset = {name for name in added if not _is_set(request, name)}
    return digest(request.model_dump_json(exclude={"stream_id", "early_usage", *unset}).encode())


def _is_set(request: CreateResponse, name: str) -> bool:
    return name in request.model_fields_set and getattr(request, name) is not None


def digest(data: bytes) -> str:
    """Return the SHA-256 of the data, in hexadecimal digits."""
    return sha256(data).hexdigest()
