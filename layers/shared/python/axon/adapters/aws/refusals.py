"""Refusals of AWS services: which ones a repetition may change, and which are permanent."""

import re

from axon.adapters.http_client import Answer
from axon.exceptions import PermanentRefusalError, UnavailableError

_TOO_LARGE = 413

_PASSING = re.compile(
    r"throttl|expired|OverLimit|QueueDeletedRecently|RequestTimeout"
    r"|ServiceUnavailable|InternalError|InternalFailure",
    re.IGNORECASE,
)
"""Codes of refusals that pass by themselves, though the status or `SenderFault` blames the caller:
throttling under its many names, credentials that are about to be renewed, limits that are reached
for the moment, a queue that was deleted within the last minute and is being made again."""

_TYPE = re.compile(rb'"__type"\s*:\s*"(?:[^"#]*#)?([^"]+)"')


def refusal(operation: str, answer: Answer) -> UnavailableError:
    """Return the error for an answer that is no success: permanent or not.

    Parameters
    ----------
    operation : str
        Service and operation, for the message.
    answer : Answer
        The HTTP answer; AWS names the error's code in the field `__type` of its JSON.
    """
    found = _TYPE.search(answer.body)
    code = found[1].decode(errors="replace") if found else ""
    # Without a code it is not AWS that refuses but something on the way there, a proxy for example.
    permanent = answer.status == _TOO_LARGE or (400 <= answer.status < 500 and code)
    message = f"{operation}: {answer}"
    if permanent and not _PASSING.search(code):
        return PermanentRefusalError(message)
    return UnavailableError(message)


def entry_refusal(operation: str, entry: dict[str, object]) -> UnavailableError:
    """Return the error for an entry that a batch operation lists under `Failed`."""
    code = str(entry.get("Code", ""))
    message = f"{operation}: {code}: {entry.get('Message', '')}"
    if entry.get("SenderFault") and not _PASSING.search(code):
        return PermanentRefusalError(message)
    return UnavailableError(message)
