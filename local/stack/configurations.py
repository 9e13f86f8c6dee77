"""The configuration files of the gateway and the Lambda service, and what the CLI reads."""

from collections.abc import Mapping, Sequence

from axon import catalog
from axon.catalog import STAGE
from axon.exceptions import SettingsError
from local.errors import LocalCloudError
from local.installation import FUNCTIONS as HANDLERS
from local.installation import parent_of
from local.services.queues import QUEUES, REGION, queue_url
from local.stack.addresses import Addresses
from local.stack.options import Options
from local.stack.topology import EVENT_SOURCES, FUNCTIONS, ROUTES, Function

API_KEY = "sk-axon-local"
TENANT = "local"
QUIET = {"POWERTOOLS_METRICS_DISABLED": "true"}
"""No CloudWatch reads metrics from the functions' log here."""


def gateway(addresses: Addresses, allowed_hosts: Sequence[str] = ()) -> dict[str, object]:
    """Return the configuration of `local.gateway`."""
    return {
        "port": addresses.client_port,
        "management_port": addresses.management_port,
        "front_port": addresses.front_port,
        "token": addresses.token,
        "allowed_hosts": list(allowed_hosts),
        "stage": STAGE,
        "api_id": "local",
        "region": REGION,
        "lambda_endpoint": addresses.lambda_endpoint,
        "authorizer": "authorizer",
        "route_selection_expression": "$request.body.type",
        "routes": ROUTES,
    }


def lambda_service(
    addresses: Addresses, passed: dict[str, str], own: Mapping[str, dict[str, str]] | None = None
) -> dict[str, object]:
    """Return the configuration of `local.lambda_service`.

    Parameters
    ----------
    addresses : Addresses
        Addresses of the servers that functions connect to.
    passed : dict[str, str]
        Variables for every function.
    own : Mapping[str, dict[str, str]] | None
        Variables for single functions, by their names.

    Raises
    ------
    LocalCloudError
        A passed setting is wrong: its function would not start.
    """
    environments = {
        name: addresses.variables(function.variables) | passed | (own or {}).get(name, {})
        for name, function in FUNCTIONS.items()
    }
    for name, environment in environments.items():
        _check(name, environment)
    return {
        "port": addresses.lambda_port,
        "token": addresses.token,
        "region": REGION,
        "layers": [str(parent_of("axon"))],
        "functions": {
            name: _function(name, function, environments[name])
            for name, function in FUNCTIONS.items()
        },
        "event_sources": [
            {
                "queue_url": queue_url(addresses.fauxqs.endpoint, queue),
                "function": function,
                "batch_size": batch_size,
            }
            for queue, function, batch_size in EVENT_SOURCES
        ],
        "schedules": [
            {"function": schedule.function, "every_s": 60 * schedule.minutes}
            for schedule in catalog.SCHEDULES
        ],
    }


def _check(name: str, environment: Mapping[str, str]) -> None:
    try:
        catalog.FUNCTIONS[name].settings.from_environ(environment)
    except SettingsError as error:
        raise LocalCloudError(str(error)) from error


def _function(name: str, function: Function, environment: dict[str, str]) -> dict[str, object]:
    return {
        "folder": str(HANDLERS / name),
        "handler": "handler.handler",
        "environment": environment | QUIET,
        "timeout_s": function.timeout_s,
        "memory_mb": function.memory_mb,
        "min_environments": function.fewest,
        "max_environments": function.most,
    }


def endpoints(addresses: Addresses, options: Options) -> dict[str, object]:
    """Return the addresses that `axon chat`, `status`, `keys`, `models` and `dlq` use."""
    sqs = addresses.fauxqs.endpoint
    return {
        "base_url": addresses.base_url,
        "front_url": addresses.front_url,
        "api_key": API_KEY,
        "engine": options.engine,
        "model": options.model_name,
        "valkey_url": addresses.valkey.url,
        "postgres_dsn": addresses.postgres.dsn(),
        "aws_endpoint": addresses.fauxqs.secret_endpoint,
        "aws_session_token": addresses.token,
        "queues": {queue.name: queue_url(sqs, queue) for queue in QUEUES},
        "lambda_endpoint": addresses.lambda_endpoint,
        "connections_endpoint": addresses.variables(["AXON_CONNECTIONS_ENDPOINT"])[
            "AXON_CONNECTIONS_ENDPOINT"
        ],
    }
