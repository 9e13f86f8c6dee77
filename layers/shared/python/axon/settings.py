"""Settings of every process: read once from the environment at its edge, validated and frozen."""

import os
import socket
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from axon.aliases import ModelAliases, check_free
from axon.base_settings import PREFIX, Settings
from axon.deadlines import Deadlines
from axon.engine_settings import EngineSettings
from axon.setting_types import (
    BaseUrl,
    Count,
    Hosts,
    JsonObject,
    Names,
    Port,
    Seconds,
)

MODEL_RETENTION_S = 7 * 24 * 3600.0


def _own_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class ValkeySettings(Settings):
    """Connection to Valkey, which keeps the event logs, the caches and the directories.

    With a user, its password is an IAM token for the ElastiCache replication group of that id.
    """

    valkey_url: str
    valkey_iam_user: str | None = None
    valkey_iam_cache: str | None = None


class PostgresSettings(Settings):
    """The database: a connection string, and where the password comes from if not from there.

    From a secret (JSON with ``username`` and ``password``, as RDS keeps it), or, with
    `postgres_iam`, an IAM token for the string's host, port and user.
    """

    postgres_dsn: str
    postgres_secret_arn: str | None = None
    postgres_iam: bool = False


class PayloadSettings(Settings):
    """The S3 bucket for what is too large for a queue's message (docs/adr/0038-claim-check.md).

    Without `payload_bucket` nothing is kept there, and a request has room in one message. Its
    endpoint is that of every AWS client: ``AWS_ENDPOINT_URL_S3``.
    """

    payload_bucket: str | None = None


class EventLogSettings(ValkeySettings):
    """Time limits of responses and of their event logs.

    `no_worker_deadline_s` to `hard_limit_s` are the deadlines of docs/deadlines.md. A response
    whose connection is gone is cancelled after `resume_window_s`, unless it is resumed; so is one
    that nobody reads any more, a few seconds later.
    `response_deadline_s`: the name of `queue_deadline_s` in the version before.
    """

    no_worker_deadline_s: Seconds = 1800
    queue_deadline_s: Seconds = 600
    no_progress_deadline_s: Seconds = 120
    hard_limit_s: Seconds | None = None
    response_deadline_s: Seconds | None = None
    retention_s: Seconds = 300
    resume_window_s: Seconds = 60
    conversation_cache_s: Seconds = 900

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of responses."""
        renamed = "queue_deadline_s" not in self.model_fields_set and self.response_deadline_s
        return Deadlines(
            no_worker_s=self.no_worker_deadline_s,
            queue_s=renamed or self.queue_deadline_s,
            no_progress_s=self.no_progress_deadline_s,
            hard_limit_s=self.hard_limit_s,
        )


class AuthorizerSettings(ValkeySettings, PostgresSettings):
    """functions/authorizer.

    `key_cache_s`: seconds since its last look-up for which a key is accepted while PostgreSQL is
    away.
    """

    key_cache_s: Seconds = 60


class ConnectionSettings(ValkeySettings):
    """functions/connect."""


class DisconnectSettings(EventLogSettings):
    """functions/disconnect."""


class RespondSettings(EventLogSettings, PostgresSettings, PayloadSettings):
    """functions/respond.

    `models` are known even while no worker has announced them; the ECS service `workers_service`
    of `workers_cluster` is woken when it has no task. `ignored_tools`: types of tools that are not
    served, and that requests may list all the same (docs/http.md).
    """

    jobs_queue_url: str
    history_queue_url: str
    models: Names = ()
    model_aliases: Annotated[ModelAliases, JsonObject] = Field(default_factory=dict)
    ignored_tools: Names = ()
    workers_cluster: str | None = None
    workers_service: str | None = None

    @field_validator("model_aliases")
    @classmethod
    def _free(cls, aliases: ModelAliases, info: ValidationInfo) -> ModelAliases:
        check_free(aliases, info.data.get("models", ()))
        return aliases


class WriteHistorySettings(EventLogSettings, PostgresSettings, PayloadSettings):
    """functions/write_history. `dead_letter_queue_url`: for records that can never be written."""

    dead_letter_queue_url: str


class ExpireSettings(PostgresSettings):
    """functions/expire.

    `retention_days`: how long conversations are kept after their last use, for tenants without a
    setting of their own; 0: for ever.
    """

    retention_days: Annotated[int, Field(ge=0)] = 30


class DeadLetterSettings(EventLogSettings):
    """functions/dead_letter. `parked_queue_url`: where dead letters wait for the operator."""

    history_queue_url: str
    parked_queue_url: str


class KeysSettings(ValkeySettings, PostgresSettings):
    """functions/keys."""


class ModelsSettings(ValkeySettings, PostgresSettings):
    """functions/models.

    `models` are the deployment's own, as in functions/respond: they exist while no worker has
    registered them. `model_retention_s`: how long a model is known that no worker serves.
    `upstream_hosts`: hosts that a model's upstream may have; so may the workers' own
    `upstream_url`.
    """

    models: Names = ()
    upstream_hosts: Hosts = ()
    upstream_url: BaseUrl | None = None
    model_retention_s: Seconds = MODEL_RETENTION_S


class RelaySettings(EventLogSettings):
    """The relay. `health_port` is for the container itself.

    `health_token`: what requests to `health_port` must send, where other users reach it.
    """

    connections_endpoint: str
    history_queue_url: str
    relay_id: str = Field(default_factory=_own_name)
    relay_lease_s: Seconds = 2
    health_port: Port = 0
    health_token: SecretStr | None = None
    stop_timeout_s: Seconds = 20
    otlp_endpoint: str | None = None


class FrontSettings(RespondSettings, AuthorizerSettings):
    """The front. `http_port` is for clients, `health_port` for the container itself.

    `health_token`: what requests to `health_port` must send, where other users reach it.
    `cors_origins`: origins whose pages may call it from a browser; ``*`` for all, ``:*`` at the end
    of one for any port. `allowed_hosts`: names, without a port, that Host headers may have where
    web pages could reach it under names of their own; other pages are refused there, too.
    `trusted_proxies`: how many proxies of the operator each request passes, which append to
    X-Forwarded-For. `keep_alive_s`: how long an unused connection stays open: longer than a
    balancer keeps its own, which otherwise sends a request into one that has just been closed.
    `max_body_bytes`: the longest body; `longest_body` is its default. `body_memory_bytes`: memory
    for bodies that are decoded and not accepted yet.
    `playground`: serve a page at ``/`` on which people try the models; it holds no secret.
    `upload_key_id`, `upload_secret`: an access key that URLs for uploads are signed with, which
    need only be able to put below ``uploads/``; by default the front's own credentials.
    """

    http_host: str = "127.0.0.1"
    http_port: Port = 8080
    trusted_proxies: Annotated[int, Field(ge=0, le=8)] = 0
    keep_alive_s: Seconds = 75
    health_port: Port = 0
    health_token: SecretStr | None = None
    max_body_bytes: Count | None = None
    body_memory_bytes: Count = 256 * 1024 * 1024
    max_sockets: Count = 10_000
    cors_origins: Names = ()
    allowed_hosts: Names = ()
    database_connections: Count = 4
    stop_timeout_s: Seconds = 20
    playground: bool = False
    upload_key_id: str | None = None
    upload_secret: SecretStr | None = None

    @property
    def longest_body(self) -> int:
        """The longest body: 20 MB, or 2 MB without a bucket, as the queue carries 512 KiB."""
        return self.max_body_bytes or (20 if self.payload_bucket else 2) * 1024 * 1024

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.upload_key_id is None) != (self.upload_secret is None):
            raise ValueError("set both AXON_UPLOAD_KEY_ID and AXON_UPLOAD_SECRET, or neither")
        return self


class WorkerSettings(EngineSettings, EventLogSettings, PostgresSettings, PayloadSettings):
    """The inference worker.

    `task_protection`: ask the ECS agent to keep this task while it works (on ECS only).
    `prefetch`: jobs received beyond the free slots, so that their first stages are done early.
    `max_receives`: receives after which the jobs queue makes a message a dead letter.
    `parked_queue_url`: where jobs that killed their workers wait for the operator.
    `max_attempts`: attempts without progress at a response; the last one runs alone on its worker.
    `overload_receives`: receives after which a full stage sheds a request without an answer.
    `prefix_affinity`: the turns of a conversation go to one worker, if that has room.
    """

    jobs_queue_url: str
    history_queue_url: str
    parked_queue_url: str | None = None
    worker_id: str = Field(default_factory=_own_name)
    task_protection: bool = False
    visibility_timeout_s: Annotated[int, Field(ge=3, le=43200)] = 30
    max_receives: Count = 50
    max_attempts: Count = 3
    overload_receives: Count = 3
    prefetch: Annotated[int, Field(ge=0)] = 0
    prefix_affinity: bool = True
    model_retention_s: Seconds = MODEL_RETENTION_S


class EndpointSettings(EngineSettings):
    """``python -m worker serve``: an engine behind a SageMaker endpoint (docs/sagemaker.md).

    The time limits are SageMaker's own for an answer as a whole and for a stream.
    """

    http_port: Annotated[int, Field(ge=1, le=65535)] = 8080
    invocation_timeout_s: Seconds = 60
    stream_timeout_s: Seconds = 480

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read and validate; an endpoint of several containers tells each its port."""
        port = environ.get("SAGEMAKER_BIND_TO_PORT")
        return super().from_environ({PREFIX + "HTTP_PORT": port, **environ} if port else environ)
