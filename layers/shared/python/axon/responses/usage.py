"""Usage of a response that ends: by its log, for attempts and terminators."""

from collections.abc import Mapping, Sequence

from axon.event_log.log import JournalRecord
from axon.protocol.objects import Usage
from axon.serialization import dumps, loads

USAGE = "usage"
"""Kind of the journal record with the tokens that the engine has read.

It is written in the same step as the first tokens, and again when an engine reports the whole
usage. A response without one was answered by an engine that does not know its tokens, or by a
worker of an earlier version: its usage is not known."""


def input_record(usage: Usage) -> bytes:
    """Return the record of a prompt's tokens; those of the answer are counted in the log."""
    return dumps({"input_tokens": usage.input_tokens, **_details(usage)})


def report_record(usage: Usage) -> bytes:
    """Return the record of the usage that an engine has reported at the answer's end."""
    return dumps(
        {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
            **_details(usage),
        }
    )


def _details(usage: Usage) -> Mapping[str, int]:
    details = {
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    return {name: tokens for name, tokens in details.items() if tokens}


def logged_usage(journal: Sequence[JournalRecord], *, logged_tokens: int) -> Usage | None:
    """Return the usage of a response by its log; None if it is not known.

    Parameters
    ----------
    journal : Sequence[JournalRecord]
        The response's journal; the last record of the kind `USAGE` counts.
    logged_tokens : int
        Number of token ids that the response's events carry.
    """
    data = next((record.data for record in reversed(journal) if record.kind == USAGE), None)
    if data is None:
        return None
    record = loads(data)
    return Usage(
        input_tokens=record["input_tokens"],
        output_tokens=record.get("output_tokens", logged_tokens),
        cached_tokens=record.get("cached_tokens", 0),
        reasoning_tokens=record.get("reasoning_tokens", 0),
    )
