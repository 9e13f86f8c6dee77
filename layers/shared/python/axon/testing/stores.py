"""Caches, stores and queues in memory."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override

from axon.conversations import EditableTurnCache, Turn, TurnHead
from axon.exceptions import PermanentRefusalError
from axon.history import NO_INPUTS, HistoryRecord, HistorySender, HistoryStore, PendingHistory
from axon.inputs import H
from axon.jobs import Job, JobQueue, JobSender, NotExtended, ReceivedJob
from axon.models.desired import DesiredModel, DesiredModels
from axon.responses.deletion import ResponseRows, ResponseTraces, StoredResponse
from axon.retention import Expired, RetentionStore, TenantRetention
from axon.serialization import loads
from axon.tenants.api_keys import ApiKey, ApiKeyStore, CachedKey, PrincipalCache
from axon.tenants.known_keys import PREFIX_DIGITS
from axon.tenants.principal import Principal


class FakeTurns(EditableTurnCache):
    """Turns, for either side of `axon.conversations.Conversations`."""

    def __init__(self) -> None:
        self.turns: dict[str, Turn] = {}
        self.forgotten = set[str]()

    @override
    async def chain(self, response_id: str) -> list[Turn]:
        found: list[Turn] = []
        key: str | None = response_id
        while key is not None and (turn := self.turns.get(key)):
            found.insert(0, turn)
            key = turn.previous_response_id
        return found

    @override
    async def heads(self, response_id: str) -> list[TurnHead]:
        return [TurnHead.of(turn) for turn in await self.chain(response_id)]

    @override
    async def put(self, turns: Sequence[Turn]) -> None:
        kept = (turn for turn in turns if turn.response_id not in self.forgotten)
        self.turns.update((turn.response_id, _as_written(turn)) for turn in kept)

    @override
    async def evict(self, response_id: str) -> None:
        self.turns.pop(response_id, None)

    @override
    async def forget(self, response_id: str) -> None:
        self.forgotten.add(response_id)
        self.turns.pop(response_id, None)


class FakePendingHistory(PendingHistory):
    """Tenants of the responses whose records are on their way."""

    def __init__(self) -> None:
        self.tenants: dict[str, str] = {}

    @override
    async def add(self, record: HistoryRecord) -> None:
        self.tenants[record.response_id] = record.tenant_id

    @override
    async def tenant_of(self, response_id: str) -> str | None:
        return self.tenants.get(response_id)

    @override
    async def remove(self, response_ids: Sequence[str]) -> None:
        for response_id in response_ids:
            self.tenants.pop(response_id, None)


class FakePrincipalCache(PrincipalCache):
    """Principals and unknown keys that never expire; ages are the event loop's."""

    def __init__(self) -> None:
        self.principals: dict[str, Principal] = {}
        self.unknown: set[str] = set()
        self._put_at: dict[str, float] = {}

    @override
    async def get(self, key_hash: str) -> CachedKey:
        principal = self.principals.get(key_hash)
        if principal is None:
            return CachedKey(unknown=key_hash in self.unknown)
        now = asyncio.get_running_loop().time()
        return CachedKey(principal, age_s=now - self._put_at[key_hash])

    @override
    async def put(self, key_hash: str, principal: Principal) -> None:
        self.principals[key_hash] = principal
        self._put_at[key_hash] = asyncio.get_running_loop().time()

    @override
    async def put_unknown(self, key_hash: str) -> None:
        self.principals.pop(key_hash, None)
        self.unknown.add(key_hash)

    @override
    async def drop(self, key_hash: str) -> None:
        self.principals.pop(key_hash, None)
        self.unknown.discard(key_hash)


class FakeApiKeyStore(ApiKeyStore):
    """API keys."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}

    @override
    async def add(self, key: ApiKey, *, key_hash: str) -> None:
        self._keys.setdefault(key_hash, replace(key, created_at=datetime.now(UTC)))

    @override
    async def find(self, key_hash: str) -> Principal | None:
        key = self._keys.get(key_hash)
        if key is None or key.revoked_at is not None:
            return None
        return key.principal

    @override
    async def list(self) -> Sequence[ApiKey]:
        return list(self._keys.values())

    @override
    async def is_valid(self, key_id: str) -> bool:
        return any(key.key_id == key_id and key.revoked_at is None for key in self._keys.values())

    @override
    async def prefixes(self) -> Sequence[str]:
        valid = (key_hash for key_hash, key in self._keys.items() if key.revoked_at is None)
        return [key_hash[:PREFIX_DIGITS] for key_hash in valid]

    @override
    async def revoke(self, key_id: str) -> str | None:
        for key_hash, key in self._keys.items():
            if key.key_id == key_id:
                revoked_at = key.revoked_at or datetime.now(UTC)
                self._keys[key_hash] = replace(key, revoked_at=revoked_at)
                return key_hash
        return None


class FakeJobQueue(JobSender, JobQueue):
    """A queue whose messages stay invisible until they are released or deleted.

    A receive waits `poll_s` for the first message. `cut_off` counts receives that were cancelled:
    of SQS's they may have taken messages along.
    """

    def __init__(self, *, poll_s: float = 1.0) -> None:
        self.cut_off = 0
        self._poll_s = poll_s
        self.fail_with: Exception | None = None
        self.in_flight: OrderedDict[str, ReceivedJob] = OrderedDict()
        self._visible: asyncio.Queue[ReceivedJob] = asyncio.Queue()
        self._receipts = 0
        self._sent = 0

    @override
    async def send(self, job: Job) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        await self.put(job.encode().decode())

    async def put(
        self, body: str, *, receive_count: int = 0, trace_header: str | None = None
    ) -> None:
        """Send any body."""
        self._sent += 1
        self._visible.put_nowait(
            ReceivedJob(
                body=body,
                receipt_handle="",
                receive_count=receive_count,
                message_id=f"message-{self._sent}",
                trace_header=trace_header,
            )
        )

    @override
    async def receive(self, *, limit: int) -> Sequence[ReceivedJob]:
        if self.fail_with is not None:
            raise self.fail_with
        messages = await self._poll()
        while messages and len(messages) < limit and not self._visible.empty():
            messages.append(self._visible.get_nowait())
        return [self._hand_out(message) for message in messages]

    @override
    async def delete(self, received: ReceivedJob) -> None:
        self.in_flight.pop(received.receipt_handle, None)

    @override
    async def extend(
        self, messages: Sequence[ReceivedJob], *, timeout_s: int
    ) -> Sequence[NotExtended]:
        gone = [each for each in messages if each.receipt_handle not in self.in_flight]
        for received in messages:
            if timeout_s == 0 and received.receipt_handle in self.in_flight:
                del self.in_flight[received.receipt_handle]
                self._visible.put_nowait(received)
        return [NotExtended(each, PermanentRefusalError("not in flight")) for each in gone]

    async def _poll(self) -> list[ReceivedJob]:
        """Return a message, or none after the poll's time."""
        try:
            async with asyncio.timeout(self._poll_s):
                return [await self._visible.get()]
        except TimeoutError:
            return []
        except asyncio.CancelledError:
            self.cut_off += 1
            raise

    def _hand_out(self, received: ReceivedJob) -> ReceivedJob:
        self._receipts += 1
        handed = replace(
            received, receipt_handle=str(self._receipts), receive_count=received.receive_count + 1
        )
        self.in_flight[handed.receipt_handle] = handed
        return handed


class FakeHistory(HistorySender, HistoryStore):
    """Records by response id, the latest version of each."""

    def __init__(self) -> None:
        self.fail_with: Exception | None = None
        self.records: dict[str, HistoryRecord] = {}

    @override
    async def send(self, record: HistoryRecord) -> None:
        await self.write([_as_written(record)])

    @override
    async def write(
        self, records: Sequence[HistoryRecord], *, inputs: Mapping[str, bytes] = NO_INPUTS
    ) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        for record in records:
            known = self.records.get(record.response_id)
            content = inputs.get(record.response_id)
            if known is not None and known.version >= record.version:
                continue
            items = known.input if known else record.input if content is None else loads(content)
            self.records[record.response_id] = record.model_copy(update={"input": items})

    @override
    async def knows(self, response_id: str) -> bool:
        return response_id in self.records


class FakeDesiredModels(DesiredModels):
    """See `axon.models.desired.DesiredModels`."""

    def __init__(self) -> None:
        self.fail_with: Exception | None = None
        self._models: dict[str, DesiredModel] = {}
        self._version = 0

    @override
    async def list(self) -> Sequence[DesiredModel]:
        if self.fail_with is not None:
            raise self.fail_with
        return [self._models[name] for name in sorted(self._models)]

    @override
    async def put(self, name: str, settings: Mapping[str, Any] | None) -> DesiredModel:
        if self.fail_with is not None:
            raise self.fail_with
        self._version += 1
        self._models[name] = DesiredModel(name, settings, self._version)
        return self._models[name]


class FakeResponseRows(ResponseRows):
    """Tombstones by response id, beside the rows of a history."""

    def __init__(self, history: FakeHistory) -> None:
        self.fail_with: Exception | None = None
        self.tenants: dict[str, str] = {}
        self._history = history

    @override
    async def read(self, response_id: str, *, tenant_id: str) -> StoredResponse | None:
        if self.fail_with is not None:
            raise self.fail_with
        record = self._history.records.get(response_id)
        if record is None or record.tenant_id != tenant_id:
            return None
        return StoredResponse(record.response, record.input, record.last_number, record.outline)

    @override
    async def status(self, response_id: str, *, tenant_id: str) -> str | None:
        record = self._history.records.get(response_id)
        own = record is not None and record.tenant_id == tenant_id
        return str(record.response["status"]) if record and own else None

    @override
    async def delete(self, response_id: str, *, tenant_id: str, accepted: bool) -> bool:
        if self.fail_with is not None:
            raise self.fail_with
        record = self._history.records.get(response_id)
        owner = record.tenant_id if record else tenant_id if accepted else None
        if self.tenants.get(response_id, owner) != tenant_id:
            return False
        self.tenants[response_id] = tenant_id
        self._history.records.pop(response_id, None)
        return True


class FakeResponseTraces(ResponseTraces):
    """Erases turns, and notes what it was asked to erase."""

    def __init__(self, turns: FakeTurns) -> None:
        self.erased: list[str] = []
        self._turns = turns

    @override
    async def erase(self, response_id: str) -> None:
        self.erased.append(response_id)
        await self._turns.evict(response_id)


class FakeRetention(RetentionStore):
    """Settings of known tenants; nothing expires."""

    def __init__(self, *known: str) -> None:
        self.days: dict[str, int | None] = dict.fromkeys(known)

    @override
    async def tenants(self, *, default_days: int) -> Sequence[TenantRetention]:
        return []

    @override
    async def expire(self, retention: TenantRetention, *, limit: int) -> Expired:
        return Expired()

    @override
    async def forget_tombstones(self, *, days: int, limit: int) -> int:
        return 0

    @override
    async def set_days(self, tenant_id: str, days: int | None) -> bool:
        if tenant_id not in self.days:
            return False
        self.days[tenant_id] = days
        return True


def _as_written(holder: H) -> H:
    """Return what a reader finds: without an input that is a payload."""
    return holder.model_copy(update={"input": []}) if holder.input_payload else holder
