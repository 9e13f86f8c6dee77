"""The relay's retry policy: calls that surely had no effect are repeated until they succeed."""

from axon.exceptions import MissingResponseError, UnavailableError
from axon.management_api import PostThrottledError, PostUncertainError
from axon.retry import RetryPolicy

UNTIL_DONE = RetryPolicy(errors=(PostThrottledError, UnavailableError))
"""Without end: what bounds the wait is the relay's shutdown, which cancels the caller."""

UNTIL_FOUND = RetryPolicy(errors=(*UNTIL_DONE.errors, MissingResponseError))
"""Also while Valkey has lost the log: its worker restores it."""

UNTIL_CLOSED = RetryPolicy(errors=(PostThrottledError, PostUncertainError))
"""For closing a connection, which may be repeated even if the first attempt succeeded."""
