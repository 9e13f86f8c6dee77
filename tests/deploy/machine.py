"""Everything that runs besides the deployment: real servers and the emulator."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.ports import LOOPBACK, Ports
from local.supervision.child import Child
from local.supervision.guardian import Guardian
from local.supervision.probes import http_ok
from local.supervision.program import Program
from tests.deploy import environment
from tests.deploy.emulator.plan import POSTGRES_PORT, REGION, VALKEY_PORT, Plan
from tests.deploy.servers import Servers
from tests.support.repository import ROOT
from tests.support.tls import Authority

AWS_NAMES = f"*.execute-api.{REGION}.amazonaws.com"


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The started processes; all end with the block of `running`, or with this process."""

    folder: Path
    plan: Plan
    servers: Servers
    ports: Ports
    stack: ExitStack

    @property
    def aws(self) -> dict[str, str]:
        """Environment variables that make an AWS client the owner of the account."""
        return {
            "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{self.plan.port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.folder / f"{name}.log"

    def start(self, program: Program) -> Child:
        """Start a program and wait until it is ready."""
        child = Child(program, owner=str(self.folder), log=self.log(program.name))
        self.stack.callback(child.kill)
        child.wait_until_ready()
        return child

    def client(self, service: str) -> Any:
        """Return a client of one of the emulator's services."""
        aws = self.aws
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=aws["AWS_ENDPOINT_URL"],
            region_name=REGION,
            aws_access_key_id=aws["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=aws["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )


@contextmanager
def running(folder: Path) -> Iterator[Machine]:
    """Start the servers and the emulator in an empty folder."""
    with ExitStack() as stack:
        stack.enter_context(Guardian(owner=str(folder)))
        ports = stack.enter_context(Ports())
        plan = _plan(folder, ports)
        servers = Servers.at(folder, valkey_port=plan.valkey_port, postgres_port=plan.postgres_port)
        machine = Machine(folder=folder, plan=plan, servers=servers, ports=ports, stack=stack)
        for program in servers.programs():
            machine.start(program)
        servers.set_up(owner_password=plan.owner_password)
        machine.start(_emulator(plan, folder))
        yield machine


def _plan(folder: Path, ports: Ports) -> Plan:
    data_host = _free_host()
    authority = Authority.create(folder, hosts=(data_host, AWS_NAMES))
    return Plan(
        port=ports.reserve(),
        names_port=ports.reserve(),
        data_host=data_host,
        valkey_port=ports.reserve(),
        postgres_port=ports.reserve(),
        owner_password=secrets.token_hex(16),
        certificate=str(authority.chain),
        key=str(authority.key),
        authorities=str(authority.certificate),
    )


def _emulator(plan: Plan, folder: Path) -> Program:
    file = folder / "plan.json"
    plan.write(file)
    temporary = folder / "emulator"
    temporary.mkdir()
    variables = {
        "PATH": environment.with_node()["PATH"],
        "NODE_PATH": str(environment.NODE_MODULES),
        "AUTH": "true",
        "BIND_HOST": LOOPBACK,
        "MINISTACK_HOST": LOOPBACK,
        "GATEWAY_PORT": str(plan.port),
        "S3_DATA_DIR": str(temporary / "s3"),
        "TMPDIR": str(temporary),
        "SSL_CERT_FILE": plan.authorities,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
    }
    return Program(
        name="emulator",
        command=(environment.ensure(), "-m", "tests.deploy.emulator", str(file)),
        environment=variables,
        folder=ROOT,
        ready=http_ok(plan.port, "/_ministack/health"),
    )


def _free_host() -> str:
    """Return an address of this machine on which the databases' own ports are free.

    Linux has all of 127.0.0.0/8. The stacks name the ports, so it takes an address of its own.
    """
    pid = os.getpid()
    for salt in range(64):
        host = f"127.{64 + salt}.{pid >> 8 & 255}.{max(1, pid & 255)}"
        try:
            for port in (VALKEY_PORT, POSTGRES_PORT):
                with socket.create_server((host, port)):
                    pass
        except OSError:
            continue
        return host
    raise OSError("there is no address for the databases: this needs Linux")
