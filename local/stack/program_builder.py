"""Builds the programs of a local cloud, and their configuration files."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from axon.engine_settings import VllmSettings
from axon.exceptions import SettingsError
from local.atomic_files import write_json
from local.errors import LocalCloudError
from local.installation import link_packages
from local.ports import Ports
from local.services.queues import JOBS
from local.stack import configurations
from local.stack.addresses import Addresses
from local.stack.folders import Folders
from local.stack.options import Options
from local.stack.topology import (
    AWS,
    ENGINES,
    FRONT,
    KNOW_MODELS,
    LOCAL_HOSTS,
    LOCAL_ORIGINS,
    PASSED_TO_ALL,
    PASSED_TO_FRONT,
    PASSED_TO_FUNCTIONS,
    PASSED_TO_WORKERS,
    RELAY,
    SQS,
    UPSTREAM_HOSTS,
    VLLM,
    WORKER,
)
from local.supervision.probes import http_ok
from local.supervision.program import Program

API_KEY_TASK = "api-key"
"""Task of `startup_tasks` after which clients can be authorized."""
SERVERS = frozenset({"valkey", "postgres", "fauxqs"})
STOP_TIMEOUT_S = "3"
"""Time for a relay or worker to drain: a person waits for it, so it is shorter than on AWS."""


class ProgramBuilder:
    """Builds the programs of one local cloud.

    Parameters
    ----------
    addresses : Addresses
        Where the servers are reached.
    folders : Folders
        Where data, logs and configurations are.
    options : Options
        The options of `axon dev`.
    ports : Ports
        Ports that the servers listen on.
    environ : Mapping[str, str]
        The caller's environment; only a few named variables of it are passed on.
    """

    def __init__(
        self,
        *,
        addresses: Addresses,
        folders: Folders,
        options: Options,
        ports: Ports,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._addresses = addresses
        self._folders = folders
        self._options = options
        self._ports = ports
        self._environ = environ

    def build(self) -> list[Program]:
        """Return every program, the servers first."""
        return [
            self._addresses.valkey.program(),
            self._addresses.postgres.program(),
            self._addresses.fauxqs.program(),
            self._lambda_service(),
            self._gateway(),
            self._front(),
            *(self._relay(f"relay-{number}") for number in range(self._options.relays)),
            *(self._worker(f"worker-{number}") for number in range(self._options.workers)),
        ]

    def _lambda_service(self) -> Program:
        models = {"AXON_MODELS": ",".join(self._models())}
        own = {name: self._passed(names) for name, names in PASSED_TO_FUNCTIONS.items()}
        for name in KNOW_MODELS:
            own[name] = own.get(name, {}) | models
        content = configurations.lambda_service(self._addresses, self._passed(PASSED_TO_ALL), own)
        return self._python(
            "lambda",
            ("local.lambda_service", "--config", self._configuration("lambda", content)),
            variables=SQS,
            ready=http_ok(self._addresses.lambda_port),
            after=SERVERS,
        )

    def _gateway(self) -> Program:
        content = configurations.gateway(self._addresses, self._options.allowed_hosts)
        return self._python(
            "gateway",
            ("local.gateway", "--config", self._configuration("gateway", content)),
            variables=AWS,
            ready=http_ok(self._addresses.client_port),
            # A client that connects earlier would get 401 for the well-known key.
            after=frozenset({API_KEY_TASK}),
            uses=frozenset({"lambda", "front"}),
        )

    def _front(self) -> Program:
        own = {
            "AXON_HTTP_PORT": str(self._addresses.front_port),
            "AXON_MODELS": ",".join(self._models()),
            "AXON_ALLOWED_HOSTS": ",".join((*LOCAL_HOSTS, *self._options.allowed_hosts)),
            "AXON_CORS_ORIGINS": ",".join(LOCAL_ORIGINS),
            "AXON_PLAYGROUND": "true",
            **self._passed(PASSED_TO_FRONT),
        }
        # Not `after` the key, unlike the gateway: until the cloud is ready, nobody knows its port.
        return self._service("front", "front", FRONT, own, after=SERVERS)

    def _relay(self, name: str) -> Program:
        return self._service(name, "relay", RELAY, {"AXON_RELAY_ID": name}, after=SERVERS)

    def _worker(self, name: str) -> Program:
        options = self._options
        engine = ENGINES[options.engine]
        own = {
            "AXON_WORKER_ID": name,
            "AXON_ENGINE": options.engine,
            "AXON_MAX_RECEIVES": str(JOBS.max_receives),
            "AXON_SLOTS": str(engine.slots),
            **(self._vllm(options.model) if options.model else {}),
            **self._passed(PASSED_TO_WORKERS),
        }
        # Not `after`: it loads its model for seconds before it needs a server.
        program = self._service(name, "worker", WORKER, own, uses=SERVERS)
        python = str(options.python or sys.executable)
        return replace(
            program,
            command=(python, *program.command[1:]),
            ready_within_s=engine.ready_within_s,
        )

    def _models(self) -> tuple[str, ...]:
        """Return the names of the workers' own models, which exist before a worker has loaded them.

        Raises
        ------
        LocalCloudError
            A setting of the workers is wrong.
        """
        if not self._options.model:
            return (self._options.model_name,)
        try:
            settings = VllmSettings.from_environ(self._passed(PASSED_TO_WORKERS))
        except SettingsError as error:
            raise LocalCloudError(str(error)) from error
        return (self._options.model_name, *settings.lora_adapters)

    def _vllm(self, model: Path) -> dict[str, str]:
        """Return what a worker needs in an environment that has vLLM, but not Axon."""
        packages = link_packages(self._folders.run / "python", "axon", "worker")
        return {
            **VLLM,
            "PYTHONPATH": str(packages),
            "AXON_MODEL_NAME": model.resolve().name,
            "AXON_MODEL_URI": str(model.resolve()),
        }

    def _service(
        self,
        name: str,
        module: str,
        variables: Iterable[str],
        own: Mapping[str, str],
        *,
        after: frozenset[str] = frozenset(),
        uses: frozenset[str] = frozenset(),
    ) -> Program:
        port = self._ports.reserve()
        return self._python(
            name,
            (module,),
            variables=variables,
            own={
                **own,
                "AXON_HEALTH_PORT": str(port),
                "AXON_HEALTH_TOKEN": self._addresses.token,
                "AXON_STOP_TIMEOUT_S": STOP_TIMEOUT_S,
            },
            ready=http_ok(port, token=self._addresses.token),
            after=after,
            uses=uses,
        )

    def _python(
        self,
        name: str,
        arguments: tuple[str | Path, ...],
        *,
        variables: Iterable[str],
        ready: Callable[[int], bool],
        own: Mapping[str, str] | None = None,
        after: frozenset[str] = frozenset(),
        uses: frozenset[str] = frozenset(),
    ) -> Program:
        environment = {
            "PYTHONUNBUFFERED": "1",
            # The working directory may hold a `local` or `relay` of its own.
            "PYTHONSAFEPATH": "1",
            **self._addresses.variables(variables),
            **self._passed(PASSED_TO_ALL),
            **(own or {}),
        }
        return Program(
            name=name,
            command=(sys.executable, "-m", *map(str, arguments)),
            environment=environment,
            ready=ready,
            after=after,
            uses=uses,
        )

    def _configuration(self, name: str, content: Mapping[str, object]) -> Path:
        return write_json(self._folders.run / f"{name}.json", content)

    def _passed(self, names: Iterable[str]) -> dict[str, str]:
        given = UPSTREAM_HOSTS | {name: value for name, value in self._environ.items() if value}
        return {name: given[name] for name in names if name in given}
