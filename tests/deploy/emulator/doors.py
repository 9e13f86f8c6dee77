"""TLS in front of plain servers, in a thread of its own."""

import asyncio
import logging
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.deploy.emulator import postgres_door, valkey_door
from tests.deploy.emulator.plan import POSTGRES_PORT, VALKEY_PORT, Plan
from tests.deploy.emulator.streams import Stream, join

LOOPBACK = "127.0.0.1"

Serve = Callable[[Stream], Awaitable[None]]


class Doors(threading.Thread):
    """Open from `start` until the process ends."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(daemon=True, name="doors")
        self._plan = plan
        self._open = threading.Event()
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(plan.certificate, plan.key)

    def start(self) -> None:
        """Return when they are open."""
        super().start()
        if not self._open.wait(10):
            raise RuntimeError("the doors did not open")

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        plan = self._plan
        valkey = valkey_door.ValkeyDoor(port=plan.valkey_port)
        postgres = postgres_door.PostgresDoor(plan, context=self._context)
        for serve, host, port, context in (
            (valkey.serve, plan.data_host, VALKEY_PORT, self._context),
            # A client of PostgreSQL asks for TLS first.
            (postgres.serve, plan.data_host, POSTGRES_PORT, None),
            (self._pass_on, LOOPBACK, plan.names_port, self._context),
        ):
            await asyncio.start_server(_served_by(serve), host, port, ssl=context)
        self._open.set()
        await asyncio.Event().wait()

    async def _pass_on(self, client: Stream) -> None:
        await join(client, await Stream.connect(LOOPBACK, self._plan.port))


def _served_by(
    serve: Serve,
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Stream(reader, writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await serve(client)
        except Exception:
            logging.getLogger(__name__).exception("a door failed")
        finally:
            client.close()

    return handle
