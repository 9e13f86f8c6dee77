"""SQS's long polls, which end with the connection of who waits."""

import asyncio
from contextlib import suppress
from typing import Any

from tests.deploy.emulator.hosts import Application, Scope, read_body
from tests.deploy.emulator.ministack import app

POLL = (b"x-amz-target", b"AmazonSQS.ReceiveMessage")


def end_with_clients() -> None:
    """Give up a poll that nobody waits for any more.

    ministack goes on with it, and hides the next message from those who do wait.
    """
    inner: Application = app.app

    async def application(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and POLL in scope["headers"]:
            await _answer_while_there(inner, scope, receive, send)
        else:
            await inner(scope, receive, send)

    app.app = application


async def _answer_while_there(inner: Application, scope: Scope, receive: Any, send: Any) -> None:
    body = await read_body(receive)

    async def read_already() -> Scope:
        return {"type": "http.request", "body": body}

    answering = asyncio.create_task(inner(scope, read_already, send))
    leaving = asyncio.create_task(receive())  # all that can come yet is the disconnection
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        answering.cancel()  # to no effect on what is done
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await answering
