"""Posting to clients' WebSocket connections, and the errors of it.

ConnectionsApiError                refused for good
├── ConnectionGoneError         the client is no longer connected (410)
├── PayloadTooLargeError        larger than a client can be sent (413)
├── PostThrottledError          nothing was delivered; the same post may succeed later
└── PostUncertainError          no answer came; the message may have arrived or not
"""

from typing import Protocol

from axon.exceptions import AxonError


class ConnectionsApiError(AxonError):
    """A request about a connection that was refused for good."""


class ConnectionGoneError(ConnectionsApiError):
    """The client is no longer connected (410)."""


class PayloadTooLargeError(ConnectionsApiError):
    """The message is larger than a client can be sent (413)."""


class PostThrottledError(ConnectionsApiError):
    """The post was not delivered and may succeed later (429, 5xx, no connection)."""


class PostUncertainError(ConnectionsApiError):
    """No answer came: repeating the post could repeat the message, leaving it out could lose it."""


class ConnectionsApi(Protocol):
    """The clients' connections, by the ids that the gateway gave them; a fake in `axon.testing`.

    It repeats no call: only the caller knows whether repeating is safe.
    """

    async def post(self, connection_id: str, data: bytes) -> None:
        """Send one message to the client.

        Raises
        ------
        ConnectionsApiError
            One of its subclasses, or itself for a refusal for good.
        """
        ...

    async def delete(self, connection_id: str) -> None:
        """Close the client's connection.

        Raises
        ------
        ConnectionsApiError
            One of its subclasses, or itself for a refusal for good.
        """
        ...
