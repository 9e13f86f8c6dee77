"""A payload store in memory."""

from typing_extensions import override

from axon.exceptions import LostPayloadError, UnavailableError
from axon.payloads import PayloadReference, PayloadStore


class FakePayloadStore(PayloadStore):
    """See `axon.payloads.PayloadStore`.

    Attributes
    ----------
    content : dict[str, bytes]
        What it holds, by keys; a test may change or remove it.
    away : bool
        True to fail all calls, as a store that cannot be reached.
    calls : list[str]
        Names of the calls so far.
    """

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.away = False
        self.calls: list[str] = []

    @override
    async def put(self, reference: PayloadReference, content: bytes) -> None:
        self._call("put")
        self.content[reference.key] = content

    @override
    async def get(self, reference: PayloadReference) -> bytes:
        self._call("get")
        content = self.content.get(reference.key)
        if content is None or not reference.matches(content):
            raise LostPayloadError(f"payload {reference.key} is not kept")
        return content

    @override
    async def delete(self, key: str) -> None:
        self._call("delete")
        self.content.pop(key, None)

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.away:
            raise UnavailableError("the payload store is away")
