"""Permissions by the names, and on the resources, by which AWS checks them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.deploy.emulator.ministack import actions

BATCH = "Batch"


def as_aws_checks() -> None:
    """Put right what ministack looks at instead."""
    _batches()
    _services()


def _batches() -> None:
    """SQS has no permissions for its batches: sending one takes ``sqs:SendMessage``."""
    extract: Callable[..., str | None] = actions.extract_iam_action

    def extract_single(*arguments: Any, **options: Any) -> str | None:
        action = extract(*arguments, **options)
        return action.removesuffix(BATCH) if action and action.startswith("sqs:") else action

    actions.extract_iam_action = extract_single


def _services() -> None:
    """ECS checks calls for one service on that service; ministack looks at its cluster."""
    extract: Callable[..., str] = actions.extract_resource_arn

    def extract_service(
        service: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        query: Mapping[str, Any],
        region: str,
        account: str,
    ) -> str:
        if service == "ecs" and (named := _service(body)):
            return f"arn:aws:ecs:{region}:{account}:service/{named}"
        return extract(service, method, path, headers, body, query, region, account)

    actions.extract_resource_arn = extract_service


def _service(body: bytes) -> str | None:
    request = json.loads(body or b"{}")
    services = request.get("services") or [request.get("service")]
    if len(services) != 1 or not isinstance(services[0], str):
        return None
    return f"{request.get('cluster', 'default')}/{services[0]}"
