"""The relay's retry policies: which errors of a call are followed by a repetition."""

from axon.exceptions import MissingResponseError, UnavailableError
from axon.management_api import PostThrottledError, PostUncertainError
from axon.retry import RetryPolicy

UNTIL_DONE = RetryPolicy(errors=(PostThrottledError, UnavailableError))
"""For calls that have no effect when they fail so. It has no end: a shutdown cancels the caller."""

UNTIL_FOUND = RetryPolicy(errors=(*UNTIL_DONE.errors, MissingResponseError))
"""Also while Valkey has lost the log, which its worker restores."""

UNTIL_CLOSED = RetryPolicy(errors=(PostThrottledError, PostUncertainError))
"""For closing a connection, which may be repeated even if the first attempt has succeeded."""
