"""Refusals of requests that do not fit their model: the first wrong field, by name."""

import re
from collections.abc import Collection, Mapping

from pydantic import ValidationError

from axon.exceptions import RequestError

_PLACE = re.compile(r"(?<=\.)\d+(?=\.|$)")


def refusal_of(
    error: ValidationError, *, remedies: Mapping[str, str], whole: Collection[str] = ()
) -> RequestError:
    """Return the refusal of a request for the first thing that is wrong with it.

    Parameters
    ----------
    error : ValidationError
        The errors of the request's model.
    remedies : Mapping[str, str]
        What to do instead, by the dotted path of a field that is not served with each value;
        ``*`` stands for any place in a list (``messages.*.audio``).
    whole : Collection[str]
        Lists that are named without the place of the wrong entry.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    param = _param(first["loc"])
    if (outer := param.partition(".")[0]) in whole:
        param = outer
    message = first["msg"]
    if first["type"] == "missing":
        return RequestError(
            f"Missing required parameter: '{param}'.",
            code="missing_required_parameter",
            param=param,
        )
    if remedy := remedies.get(_PLACE.sub("*", param)):
        return RequestError(
            f"Unsupported value for '{param}'. {remedy}", code="unsupported_parameter", param=param
        )
    if first["type"] in ("string_too_long", "too_long"):
        return RequestError(
            f"'{param}' is too long: {message}. Shorten it.",
            code="string_above_max_length"
            if "string" in first["type"]
            else "array_above_max_length",
            param=param,
        )
    return RequestError(f"Invalid '{param}': {message}.", code="invalid_value", param=param)


def no_content(param: str) -> RequestError:
    """Return the refusal of a request whose messages have no content at all."""
    return RequestError(
        f"Invalid '{param}': no message has any content. Send the text to answer.",
        code="invalid_value",
        param=param,
    )


def too_many_items(count: int, most: int, *, param: str) -> RequestError:
    """Return the refusal of messages that are more items of an input than a request may have."""
    return RequestError(
        f"'{param}' is too long: {count:,} messages, calls and results, {most:,} at most. Leave "
        "earlier ones out.",
        code="array_above_max_length",
        param=param,
    )


def _param(loc: tuple[int | str, ...]) -> str:
    """Return the field's dotted path without the tags of unions (`axon.protocol.items`).

    Parts are cut: keys of `metadata` are the client's, as long as a whole message.
    """
    return ".".join(str(part)[:64] for part in loc if not str(part).startswith("["))
