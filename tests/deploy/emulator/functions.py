"""Lambda functions and their authorizer closer to AWS than ministack runs them."""

from collections.abc import Callable
from typing import Any

from tests.deploy.emulator.ministack import apigateway, lambdas, runtime

LAYERS = "/opt/"


def trust(authorities: str) -> None:
    """Make functions that trust a layer's authorities trust `authorities` instead.

    AWS unpacks layers into /opt and has certificates of public authorities. ministack unpacks them
    elsewhere, and the doors' certificates are of this test's own authority.
    """
    spawn: Callable[[Any], None] = runtime.Worker._spawn

    def spawn_trusting(worker: Any) -> None:
        configured = worker.config
        environment = configured.get("Environment") or {}
        variables = dict(environment.get("Variables") or {})
        if variables.get("SSL_CERT_FILE", "").startswith(LAYERS):
            variables["SSL_CERT_FILE"] = authorities
        worker.config = {**configured, "Environment": {**environment, "Variables": variables}}
        try:
            spawn(worker)
        finally:
            worker.config = configured

    runtime.Worker._spawn = spawn_trusting


class _UnauthorizedError(Exception):
    """The authorizer raised it."""


def answer_unauthorized() -> None:
    """Answer 401 where an authorizer raises ``Exception("Unauthorized")``, as AWS does, not 500."""
    execute = lambdas._execute_function_with_config_scope
    invoke = apigateway._invoke_request_authorizer_lambda
    authorize = apigateway._authorize_ws_connect

    def execute_telling(*arguments: Any, **options: Any) -> Any:
        result = execute(*arguments, **options)
        body = (result or {}).get("body")
        if isinstance(body, dict) and body.get("errorMessage") == "Unauthorized":
            return {"body": {"unauthorized": True}}
        return result

    async def invoke_raising(*arguments: Any, **options: Any) -> Any:
        payload = await invoke(*arguments, **options)
        if payload == {"unauthorized": True}:
            raise _UnauthorizedError
        return payload

    async def authorize_catching(*arguments: Any, **options: Any) -> Any:
        try:
            return await authorize(*arguments, **options)
        except _UnauthorizedError:
            return (401, "Unauthorized"), None

    lambdas._execute_function_with_config_scope = execute_telling
    apigateway._invoke_request_authorizer_lambda = invoke_raising
    apigateway._authorize_ws_connect = authorize_catching
