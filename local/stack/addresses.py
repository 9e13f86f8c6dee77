"""The addresses of one local cloud, and the environment variables that hold them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from axon.catalog import STAGE
from local.http.access import new_secret
from local.ports import LOOPBACK, Ports
from local.services.fauxqs import UPLOADER, Fauxqs
from local.services.postgres import Postgres
from local.services.queues import (
    HISTORY,
    HISTORY_DEAD,
    JOBS,
    JOBS_PARKED,
    PAYLOADS,
    REGION,
    queue_url,
)
from local.services.valkey import Valkey
from local.stack.folders import Folders

VALKEY_MB = 4096
"""Memory of Valkey: with a limit, Axon's shares of it apply here, too, and no client fills the
machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Addresses:
    """The three servers, and the ports of the gateway, the front and the Lambda service.

    `token` is the session token of this run's AWS credentials: all stand-ins for AWS require it.
    """

    valkey: Valkey
    postgres: Postgres
    fauxqs: Fauxqs
    client_port: int
    management_port: int
    front_port: int
    lambda_port: int
    token: str = field(repr=False)

    @classmethod
    def choose(
        cls, *, ports: Ports, folders: Folders, client_port: int, persistent: bool
    ) -> "Addresses":
        """Choose free ports for everything but `client_port`, which the person chose."""
        storage, token = folders.storage, new_secret()
        return cls(
            valkey=Valkey(
                port=ports.reserve(),
                folder=storage / "valkey",
                persistent=persistent,
                password=new_secret(),
                memory_mb=VALKEY_MB,
            ),
            postgres=Postgres(
                port=ports.reserve(), folder=storage / "postgres", persistent=persistent
            ),
            fauxqs=Fauxqs(
                port=ports.reserve(),
                folder=storage / "fauxqs",
                persistent=persistent,
                packages=folders.root,
                token=token,
                upload_secret=new_secret(),
            ),
            client_port=client_port,
            management_port=ports.reserve(),
            front_port=ports.reserve(),
            lambda_port=ports.reserve(),
            token=token,
        )

    @property
    def base_url(self) -> str:
        """Base URL for OpenAI's clients."""
        return f"http://{LOOPBACK}:{self.client_port}/v1"

    @property
    def front_url(self) -> str:
        """Base URL of the front itself, for programs that are to bypass the gateway's port."""
        return f"http://{LOOPBACK}:{self.front_port}/v1"

    @property
    def lambda_endpoint(self) -> str:
        """Endpoint of the Lambda service's Invoke API."""
        return f"http://{LOOPBACK}:{self.lambda_port}"

    def variables(self, names: Iterable[str]) -> dict[str, str]:
        """Return the named environment variables.

        Raises
        ------
        KeyError
            A name is not one of those defined here.
        """
        known = {
            "AXON_VALKEY_URL": self.valkey.url,
            "AXON_POSTGRES_DSN": self.postgres.dsn(),
            "AXON_JOBS_QUEUE_URL": queue_url(self.fauxqs.endpoint, JOBS),
            "AXON_PARKED_QUEUE_URL": queue_url(self.fauxqs.endpoint, JOBS_PARKED),
            "AXON_DEAD_LETTER_QUEUE_URL": queue_url(self.fauxqs.endpoint, HISTORY_DEAD),
            "AXON_HISTORY_QUEUE_URL": queue_url(self.fauxqs.endpoint, HISTORY),
            "AXON_CONNECTIONS_ENDPOINT": f"http://{LOOPBACK}:{self.management_port}/{STAGE}",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_SESSION_TOKEN": self.token,
            "AWS_ENDPOINT_URL_SQS": self.fauxqs.endpoint,
            "AWS_ENDPOINT_URL_S3": self.fauxqs.endpoint,
            "AXON_PAYLOAD_BUCKET": PAYLOADS,
            "AXON_UPLOAD_KEY_ID": UPLOADER,
            "AXON_UPLOAD_SECRET": self.fauxqs.upload_secret,
        }
        return {name: known[name] for name in names}
