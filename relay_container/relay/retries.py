"""The relay's retry policies: which errors of a call are followed by a repetition."""

from axon.exceptions import MissingResponseError, UnavailableError
from axon.management_api import PostThrottledError, PostUncertainError
from axon.retry import RetryPolicy

_LIMIT_S = 120.0
"""Seconds for which a client is kept waiting while Valkey or API Gateway is away. After them its
connection is closed: it can resume, and one that received nothing for ever could not know it."""
_CLOSING_S = 30.0

UNTIL_DONE = RetryPolicy(errors=(PostThrottledError, UnavailableError), within_s=_LIMIT_S)
"""For calls that have no effect when they fail so."""

UNTIL_BACK = RetryPolicy(errors=UNTIL_DONE.errors)
"""For a relay that does not serve yet: no client waits, and a shutdown cancels the call."""

UNTIL_FOUND = RetryPolicy(errors=(*UNTIL_DONE.errors, MissingResponseError), within_s=_LIMIT_S)
"""Also while Valkey has lost the log, which its worker restores."""

UNTIL_CLOSED = RetryPolicy(errors=(PostThrottledError, PostUncertainError), within_s=_CLOSING_S)
"""For closing a connection, which may be repeated even if the first attempt has succeeded."""
