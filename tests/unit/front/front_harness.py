"""A front over fakes and a real socket, with a worker's hands."""

from typing import Any

import aiohttp

from axon.adapters.observability.metrics import new_registry
from axon.event_log.follower import ResponseFollower
from axon.exceptions import UnavailableError, WrongKeysError
from axon.tenants.principal import Principal
from axon.testing.payloads import FakePayloadStore
from axon.testing.uploads import FakeUploadBudget, FakeUploadSigner
from axon.uploads import Uploads
from front.authentication import Authenticator
from front.bodies import Bodies
from front.context import FrontContext
from front.metrics import FrontMetrics
from front.models import ServedModels
from front.reading import ResponseReader
from front.requests import OpenRequests
from front.server import new_application, start_server
from front.socket.sockets import OpenSockets
from tests.support.eventually import eventually
from tests.support.principals import a_principal
from tests.unit.axon.responses.service_harness import ResponseHarness
from tests.unit.axon.samples import MODEL, TENANT

KEY = "sk-right"
OTHER_KEY = "sk-other"
"""The key of another tenant."""
BUSY_KEY = "sk-busy"
"""A key from an address that has tried too many wrong ones."""
AWAY_KEY = "sk-away"
"""A key that cannot be looked up."""
RECENT_KEY = "sk-recent"
"""A key that was valid a moment ago, and is no longer."""
ALIAS = "fast"
MAX_BODY_BYTES = 100_000
HELD_BYTES = 150_000
"""The most of all bodies that arrive at the same time."""
MAX_SOCKETS = 3
"""Sockets that one tenant may have."""
ORIGIN = "https://app.example"


class KeysStub:
    async def authenticate(self, secret: str, *, address: str | None = None) -> Principal | None:
        assert address == "127.0.0.1"
        if secret == BUSY_KEY:
            raise WrongKeysError("too many")
        if secret == AWAY_KEY:
            raise UnavailableError("the database is away")
        tenants = {KEY: TENANT, OTHER_KEY: "tenant-2"}
        return a_principal(tenants[secret]) if secret in tenants else None

    def recent(self, secret: str) -> Principal | None:
        return a_principal(TENANT) if secret == RECENT_KEY else None


class FrontHarness:
    """One model, one front, and a client with a key.

    Parameters
    ----------
    playground : bool
        Serve the playground.
    max_bytes : int
        The longest body.
    inputs : FakePayloadStore | None
        Takes long inputs.
    """

    def __init__(
        self,
        *,
        playground: bool = False,
        max_bytes: int = MAX_BODY_BYTES,
        inputs: FakePayloadStore | None = None,
    ) -> None:
        self.responses = ResponseHarness(payloads=inputs)
        self.ready = True
        self.registry = new_registry()
        self.metrics = FrontMetrics(registry=self.registry)
        backend = self.responses
        self.attendance = backend.valkey.attendance
        self.reader = ResponseReader(
            follower=ResponseFollower(
                log=backend.valkey, channels=backend.valkey.channels, restore_s=0.05
            ),
            attendance=self.attendance,
            terminator=backend.terminator,
        )
        self.payloads, self.budget = FakePayloadStore(), FakeUploadBudget()
        self.context = FrontContext(
            service=backend.service,
            retrieval=backend.retrieval,
            named=backend.named,
            items=backend.items,
            reader=self.reader,
            authenticator=Authenticator(keys=KeysStub()),
            models=ServedModels(
                directory=backend.valkey.directory,
                deployment=("org/large",),
                aliases={ALIAS: {MODEL: 1.0}},
            ),
            requests=OpenRequests(),
            bodies=Bodies(
                max_bytes=max_bytes,
                held_bytes=HELD_BYTES if max_bytes == MAX_BODY_BYTES else None,
                uploads=Uploads(
                    store=self.payloads,
                    signer=FakeUploadSigner(),
                    budget=self.budget,
                    max_bytes=MAX_BODY_BYTES,
                ),
            ),
            sockets=OpenSockets(most=4 * MAX_SOCKETS),
            directory=backend.valkey,
            cors_origins=(ORIGIN,),
            playground=playground,
        )

    async def begin(self) -> None:
        await self.responses.begin()
        application = new_application(self.context, ready=lambda: self.ready)
        application.on_response_prepare.append(self.metrics.count)
        self.runner = await start_server(application, host="127.0.0.1", port=0)
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"
        self.client = aiohttp.ClientSession(
            self.url, headers={"Authorization": f"Bearer {KEY}"}, raise_for_status=False
        )

    async def end(self) -> None:
        await self.client.close()
        await self.runner.cleanup()
        await self.reader.drain()
        assert not self.reader.attended
        assert not self.responses.valkey.channels.listeners

    async def post(self, path: str = "/v1/responses", **fields: Any) -> aiohttp.ClientResponse:
        """Send a request; return its answer, whose body may still be on its way."""
        return await self.client.post(path, json={"model": MODEL, "input": "hello"} | fields)

    async def submitted(self) -> str:
        """Return the id of the next response that the front accepts and reads."""
        await eventually(lambda: not self.responses.jobs._visible.empty())
        (job,) = self.responses.jobs_sent()
        await eventually(lambda: job.response_id in self.reader.attended)
        return job.response_id

    async def stream(self, **fields: Any) -> tuple[aiohttp.ClientResponse, str]:
        """Begin a streamed answer; return it and the response's id."""
        answer = await self.post(stream=True, **fields)
        assert answer.status == 200
        return answer, await self.submitted()

    async def error(self, answer: aiohttp.ClientResponse) -> tuple[int, str, str | None]:
        """Return status, code and field of an error, whose shape is checked."""
        body = await answer.json()
        assert body.keys() == {"error"}
        assert body["error"].keys() == {"message", "type", "param", "code"}
        return answer.status, body["error"]["code"], body["error"]["param"]
