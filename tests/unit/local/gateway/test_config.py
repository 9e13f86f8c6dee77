from typing import Any

import pytest
from pydantic import ValidationError

from local.gateway.config import GatewayConfig

LEAST: dict[str, Any] = {
    "port": 1,
    "management_port": 2,
    "lambda_endpoint": "http://127.0.0.1:3",
    "routes": {"$default": {"function": "f"}},
}


def test_config_limits_are_those_of_api_gateway() -> None:
    limits = GatewayConfig(**LEAST).limits
    assert (limits.frame_bytes, limits.message_bytes) == (32_768, 131_072)
    assert (limits.idle_timeout_s, limits.connection_duration_s) == (600, 7200)
    assert limits.integration_timeout_s == 29
    assert (limits.connections_per_s, limits.connections_burst) == (500, 500)
    assert limits.requests_per_s == 10_000


def test_config_derives_paths_and_arn_from_the_stage() -> None:
    config = GatewayConfig(**LEAST, stage="prod", api_id="abc")
    assert config.paths == ("/prod", "/v1/prod")
    assert config.method_arn == "arn:aws:execute-api:us-east-1:000000000000:abc/prod/$connect"


@pytest.mark.parametrize(
    "change",
    [
        {"route_selection_expression": "$request.header.x"},
        {"route_selection_expression": "$request.body"},
        {"stage": ""},
        {"lambda_endpoint": "https://lambda"},
        {"port": 70_000},
        {"limits": {"frame_bytes": 0}},
        {"unknown": 1},
    ],
)
def test_config_refuses_wrong_values(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GatewayConfig(**{**LEAST, **change})
