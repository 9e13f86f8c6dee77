"""Connections that are being closed, because what they would receive next is uncertain."""

from collections.abc import Iterable

from axon.tasks import TaskSet
from relay.completion import DeliveryCompletion


class ConnectionCloser:
    """Closes connections in the background, each once.

    Until a connection is closed, nothing is delivered to it: the post whose outcome is unknown may
    have arrived, and whatever followed would be a gap or a repetition.
    """

    def __init__(self, *, completion: DeliveryCompletion, tasks: TaskSet) -> None:
        self._completion = completion
        self._tasks = tasks
        self._closing: dict[str, set[str]] = {}

    def is_closing(self, connection_id: str) -> bool:
        """Return whether the connection is being closed."""
        return connection_id in self._closing

    def close(self, connection_id: str, response_ids: Iterable[str]) -> None:
        """Close a connection, to which these responses were to be delivered."""
        if connection_id in self._closing:
            # Completed together with the others: `DeliveryCompletion.close` ends only once the set
            # is empty, and nothing is awaited between its end and the removal of the set.
            self._closing[connection_id].update(response_ids)
            return
        self._closing[connection_id] = set(response_ids)
        self._tasks.start(self._close(connection_id))

    async def _close(self, connection_id: str) -> None:
        try:
            # The set itself, not a copy: more may be added until the connection is closed.
            await self._completion.close(connection_id, self._closing[connection_id])
        finally:
            del self._closing[connection_id]
