"""The endpoints that an ECS host serves its tasks: credentials of their role, task protection."""

import json
import secrets
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from tests.deploy.emulator.ministack import app, sts
from tests.deploy.emulator.plan import ACCOUNT, PATH

LIFETIME_S = 6 * 3600

Scope = dict[str, Any]
Application = Callable[[Scope, Any, Any], Coroutine[Any, Any, None]]


def serve_tasks() -> None:
    """Answer ``{PATH}/credentials/<role>`` and ECS's task protection, beside AWS's own paths."""
    inner: Application = app.app

    async def application(scope: Scope, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(f"{PATH}/"):
            await inner(scope, receive, send)
            return
        body = await read_body(receive)
        content = _answer(path.removeprefix(f"{PATH}/").split("/"), body)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        await send({"type": "http.response.body", "body": json.dumps(content).encode()})

    app.app = application


def _answer(path: list[str], body: bytes) -> dict[str, Any]:
    match path:
        case ["credentials", role]:
            return _credentials(role)
        case [task, "task-protection", "v1", "state"]:
            return {"protection": {"TaskArn": task, **json.loads(body)}}
    raise ValueError(f"nothing is served at {path}")


def _credentials(role: str) -> dict[str, str]:
    access_key = f"ASIA{secrets.token_hex(8).upper()}"
    secret, token = secrets.token_hex(20), secrets.token_hex(64)
    expires = time.time() + LIFETIME_S
    sts.register_session(
        access_key,
        {
            "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/task",
            "UserId": f"{role}:task",
            "SecretAccessKey": secret,
            "SessionToken": token,
            "Expiration": expires,
        },
    )
    return {
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{role}",
        "AccessKeyId": access_key,
        "SecretAccessKey": secret,
        "Token": token,
        "Expiration": datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


async def read_body(receive: Any) -> bytes:
    """Return all of a request's body."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
