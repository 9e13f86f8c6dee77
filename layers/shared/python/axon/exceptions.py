"""Axon's exceptions.

AxonError
├── RequestError            refused: carries what the client's SDK shows
├── UnavailableError        a part that the request needs is away; worth a retry
│   ├── PermanentRefusalError   a service refuses the call; a retry would be refused, too
│   ├── HistoryPendingError     what the request continues is on its way to the database
│   │   └── ConversationPendingError    a part of a named conversation is
│   └── StoreFullError      Valkey has no memory left; worth a retry in a minute
│       ├── TenantFullError     the tenant holds as much of it as one tenant may
│       └── ConnectionFullError the connection holds as much of it as one connection may
├── WrongKeysError          too many wrong API keys came from an address; not looked up
├── SettingsError           wrong or missing configuration; ends the process at start
├── FencedError             another attempt owns the response now; stop at once
│   ├── LostClaimError      the log has lost the claim, which may be taken again
│   └── GapError            the log has lost appends, which may be made again
├── MovedError              another relay, or another connection, gets the response's events now
├── MissingResponseError    the response is not, or no longer, in the event log
├── LostEventsError         the event log does not hold the events that a reader needs next
└── LostPayloadError        the payload store does not hold what was put there
"""


class AxonError(Exception):
    """Root of all errors that Axon raises on purpose."""


class RequestError(AxonError):
    """A request that is refused, as the client will see it.

    Parameters
    ----------
    message : str
        What is wrong and how to mend it, in one sentence.
    code : str
        Machine-readable, in OpenAI's vocabulary where it has a word.
    param : str | None
        The request's field, in dotted form (``input.0.content``).
    status : int
        The HTTP status this would have over HTTP.
    hint : str
        What else helps in the Responses API; other APIs do not show it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        param: str | None = None,
        status: int = 400,
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.status = status
        self.hint = hint


class UnavailableError(AxonError):
    """A part that the request needs is away; the same request may succeed later."""


class PermanentRefusalError(UnavailableError):
    """A service refuses a call, and would refuse every repetition of it.

    Permissions, a queue that does not exist, a message that is too large: only the operator or
    another request can change it. For callers without a better answer it is like a service that is
    away; no `axon.retry.RetryPolicy` repeats it.
    """


class HistoryPendingError(UnavailableError):
    """A request continues a response that is not in the database yet, but will be.

    Parameters
    ----------
    response_id : str
        The response that cannot be read yet.
    retry_after_s : int
        When to try again, in seconds; over HTTP the header ``Retry-After``.
    """

    def __init__(self, response_id: str, *, retry_after_s: int = 5) -> None:
        self.message = (
            f"Previous response with id '{response_id}' is not stored yet. "
            f"Please retry in {retry_after_s} seconds."
        )
        super().__init__(self.message)
        self.code = "previous_response_not_ready"
        self.param = "previous_response_id"
        self.retry_after_s = retry_after_s


class ConversationPendingError(HistoryPendingError):
    """A part of a named conversation is not in the database yet, but will be.

    Parameters
    ----------
    conversation_id : str
        The conversation that cannot be read yet.
    """

    def __init__(self, conversation_id: str) -> None:
        super().__init__(conversation_id)
        self.message = (
            f"Conversation with id '{conversation_id}' is not stored yet in full. "
            f"Please retry in {self.retry_after_s} seconds."
        )
        self.args = (self.message,)
        self.code = "conversation_not_ready"
        self.param = "conversation"


class AnswerLostError(UnavailableError):
    """A failure of the server has lost the answer to a request; the same request may succeed."""


class StoreFullError(UnavailableError):
    """Valkey has no memory left for the call, or none for new requests."""

    retry_after_s = 60
    """When to try again, in seconds; over HTTP the header ``Retry-After``."""


class TenantFullError(StoreFullError):
    """A tenant's running responses and unstored turns hold as much memory as one tenant may."""


class ConnectionFullError(StoreFullError):
    """Those of one connection hold as much memory as one connection may."""


class WrongKeysError(AxonError):
    """Too many wrong API keys came from an address: an unknown one is refused without a look-up."""


class SettingsError(AxonError):
    """Configuration that cannot work; the message names the variable and the remedy."""


class FencedError(AxonError):
    """Another attempt, or the end of the response, has fenced this attempt off."""


class LostClaimError(FencedError):
    """The log shows the claim before this one: it has lost this one, and nobody has claimed since.

    The attempt that holds the log's events may take the claim again; others are fenced off.
    """


class GapError(FencedError):
    """The log has lost appends of this attempt, and ends before what is to be appended.

    The attempt that holds the missing events appends them again; others are fenced off.

    Parameters
    ----------
    message : str
        For the log.
    next_sequence : int
        Number of the event that follows in the log.
    next_record : int
        Number of the journal record that follows.
    """

    def __init__(self, message: str, *, next_sequence: int, next_record: int) -> None:
        super().__init__(message)
        self.next_sequence = next_sequence
        self.next_record = next_record


class MovedError(AxonError):
    """The response is another relay's to deliver now, or goes to another connection."""


class MissingResponseError(AxonError):
    """The response is not in the event log."""


class LostEventsError(AxonError):
    """The event log does not hold, or no longer holds, the event that a reader needs next."""


class LostPayloadError(AxonError):
    """The payload store does not hold, or no longer holds, a payload as it was put there."""
