"""The REQUEST authorizer of `$connect`."""

import json
import time
from dataclasses import replace
from typing import Any

from local.gateway.client import Client
from local.gateway.config import GatewayConfig
from local.gateway.events import EventFactory
from local.gateway.functions import FunctionClient, IntegrationError
from local.gateway.policy import Decision, MalformedPolicyError, evaluate

_DENIED = "User is not authorized to access this resource"


class RefusedError(Exception):
    """The connection is refused with an HTTP status and a JSON body."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {json.dumps(body)}")
        self.status = status
        self.body = body


class Authorizer:
    """Runs the authorizer function, if the API has one, before `$connect`."""

    def __init__(
        self, *, config: GatewayConfig, functions: FunctionClient, events: EventFactory
    ) -> None:
        self._config = config
        self._functions = functions
        self._events = events

    async def authorize(self, client: Client) -> Client:
        """Return the client with the context that the authorizer returned.

        Raises
        ------
        RefusedError
            401 without the identity or if the function raises `Unauthorized`, 403 if its policy
            does not allow, 500 if it fails otherwise.
        """
        if self._config.authorizer is None:
            return client
        if not client.request.header(self._config.authorizer_header):
            raise RefusedError(401, {"message": "Unauthorized"})
        started = time.monotonic()
        answer = await self._ask(self._config.authorizer, client)
        latency_ms = round((time.monotonic() - started) * 1000)
        return replace(client, authorizer=self._accept(answer, latency_ms))

    async def _ask(self, function: str, client: Client) -> Any:
        try:
            return await self._functions.invoke(function, self._events.authorizer(client))
        except IntegrationError as error:
            if error.error_message == "Unauthorized":
                raise RefusedError(401, {"message": "Unauthorized"}) from error
            raise _failed() from error

    def _accept(self, answer: Any, latency_ms: int) -> dict[str, str | int]:
        if not isinstance(answer, dict) or not isinstance(answer.get("principalId"), str):
            raise _failed()
        try:
            decision = evaluate(answer.get("policyDocument"), resource=self._config.method_arn)
        except MalformedPolicyError as error:
            raise _failed() from error
        if decision is Decision.EXPLICIT_DENY:
            raise RefusedError(403, {"Message": f"{_DENIED} with an explicit deny"})
        if decision is Decision.IMPLICIT_DENY:
            raise RefusedError(403, {"Message": _DENIED})
        context = _strings(answer.get("context") or {})
        return {
            **context,
            "principalId": answer["principalId"],
            "integrationLatency": latency_ms,
        }


def _strings(context: Any) -> dict[str, str]:
    """Return the context as integrations see it: API Gateway turns all values into strings."""
    if not isinstance(context, dict):
        raise _failed()
    strings = {}
    for name, value in context.items():
        if not isinstance(value, str | int | float | bool):
            raise _failed()
        strings[name] = value if isinstance(value, str) else json.dumps(value)
    return strings


def _failed() -> RefusedError:
    return RefusedError(500, {"message": "Internal server error"})
