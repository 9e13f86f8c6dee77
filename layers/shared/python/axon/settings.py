"""Settings of every process: read once from the environment at its edge, validated and frozen."""

import os
import socket
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from axon.exceptions import SettingsError

PREFIX = "AXON_"

Seconds = Annotated[float, Field(gt=0)]
Milliseconds = Annotated[int, Field(ge=0)]


def _own_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class Settings(BaseModel):
    """Base: each field is the variable ``AXON_<FIELD>``; unset and empty mean the default."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    aws_region: str = "us-east-1"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read and validate.

        Raises
        ------
        SettingsError : one line that names every wrong variable.
        """
        values = {
            name: environ[PREFIX + name.upper()]
            for name in cls.model_fields
            if environ.get(PREFIX + name.upper())
        }
        values.setdefault("aws_region", environ.get("AWS_REGION") or "us-east-1")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            wrong = (
                f"{PREFIX}{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}"
                for e in error.errors()
            )
            raise SettingsError("; ".join(wrong)) from error


class ValkeySettings(Settings):
    """Where the event logs, the caches and the directories live."""

    valkey_url: str


class PostgresSettings(Settings):
    """The database: a connection string, or the secret that holds its parts."""

    postgres_dsn: str | None = None
    postgres_secret_arn: str | None = None


class EventLogSettings(ValkeySettings):
    """How long responses may run and how long their events are kept."""

    response_deadline_s: Seconds = 600
    retention_s: Seconds = 300
    conversation_cache_s: Seconds = 900


class AuthorizerSettings(ValkeySettings, PostgresSettings):
    """functions/authorizer."""

    key_cache_s: Seconds = 60


class ConnectionSettings(ValkeySettings):
    """functions/connect."""


class DisconnectSettings(EventLogSettings):
    """functions/disconnect."""

    history_queue_url: str


class RespondSettings(EventLogSettings, PostgresSettings):
    """functions/respond."""

    jobs_queue_url: str
    history_queue_url: str


class WriteHistorySettings(PostgresSettings):
    """functions/write_history."""


class DeadLetterSettings(EventLogSettings):
    """functions/dead_letter."""

    history_queue_url: str


class RelaySettings(EventLogSettings):
    """The relay."""

    connections_endpoint: str
    history_queue_url: str
    relay_id: str = Field(default_factory=_own_name)
    relay_lease_s: Seconds = 3
    health_port: Annotated[int, Field(ge=0, le=65535)] = 0
    stop_timeout_s: Seconds = 20


class WorkerSettings(EventLogSettings, PostgresSettings):
    """The inference worker."""

    jobs_queue_url: str
    history_queue_url: str
    worker_id: str = Field(default_factory=_own_name)
    health_port: Annotated[int, Field(ge=0, le=65535)] = 0
    stop_timeout_s: Seconds = 20

    engine: Literal["echo", "smollm2"] = "echo"
    slots: Annotated[int, Field(ge=1)] = 8
    echo_ttft_ms: Milliseconds = 0
    echo_token_ms: Milliseconds = 0

    visibility_timeout_s: Annotated[int, Field(ge=3, le=43200)] = 30
    model_retention_s: Seconds = 7 * 24 * 3600

    flush_first_s: Seconds = 0.038
    flush_last_s: Seconds = 0.2
    flush_steady_s: Seconds = 1.0
    flush_ramp_s: Seconds = 0.5
