"""Sections of an environment's settings, one class each; each validates what it can alone."""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from axon.aliases import ModelAliases, check_free
from axon.engine_settings import VllmSettings
from axon.serialization import dumps
from axon.upstream_hosts import UpstreamHosts
from infra.settings import capacity
from infra.settings.fields import (
    CertificateArn,
    Count,
    Domain,
    Email,
    Percent,
    RetentionDays,
    ToolType,
)

Architecture = Literal["arm64", "x86_64"]


class Section(BaseModel):
    """Base class: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Network(Section):
    """The VPC. Every zone has a public, a private and an isolated subnet."""

    cidr: str = "10.40.0.0/16"
    zones: Annotated[int, Field(ge=2, le=3)] = 2
    nat_gateways: Annotated[int, Field(ge=1, le=3)] = 1

    @model_validator(mode="after")
    def _private(self) -> Self:
        network = ipaddress.ip_network(self.cidr)
        if not (network.version == 4 and network.is_private and 16 <= network.prefixlen <= 22):
            raise ValueError(f"cidr {self.cidr} must be private and of a size from /16 to /22")
        if self.nat_gateways > self.zones:
            raise ValueError("nat_gateways must be at most zones")
        return self


class Valkey(Section):
    """The replication group: one node, or a primary and replicas over the zones."""

    node_type: Annotated[str, Field(pattern=capacity.CACHE_NODE)] = "cache.t4g.micro"
    nodes: Annotated[int, Field(ge=1, le=6)] = 1
    snapshot_days: Annotated[int, Field(ge=0, le=35)] = 0


class Postgres(Section):
    """The database instance; RDS grows `storage_gb` up to `max_storage_gb`.

    `retention_days`: how long conversations are kept after their last use, for tenants without a
    setting of their own (`axon keys retention`); 0: for ever.
    """

    instance_type: Annotated[str, Field(pattern=capacity.DATABASE_INSTANCE)] = "db.t4g.micro"
    multi_az: bool = False
    proxy: bool = False
    storage_gb: Annotated[int, Field(ge=20, le=65536)] = 20
    max_storage_gb: Annotated[int, Field(ge=20, le=65536)] = 100
    backup_days: Annotated[int, Field(ge=1, le=35)] = 1
    performance_insights: bool = False
    retention_days: Annotated[int, Field(ge=0, le=3650)] = 30

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.max_storage_gb < 1.1 * self.storage_gb:
            raise ValueError("max_storage_gb must be at least 10 % above storage_gb")
        return self


class Functions(Section):
    """The Lambda functions. `python` and `architecture` also choose the wheels of their layer.

    3.11 is for emulators, which run functions in their own interpreter; `infra.deploy` refuses it.
    """

    python: Literal["3.11", "3.12", "3.13", "3.14"] = "3.13"
    architecture: Architecture = "arm64"
    write_history_concurrency: Annotated[int, Field(ge=2, le=100)] = 2


class Gateway(Section):
    """The WebSocket API. A domain needs a certificate in the same region."""

    requests_per_second: Count = 500
    burst: Count = 1000
    domain_name: Domain | None = None
    certificate_arn: CertificateArn | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.domain_name is None) != (self.certificate_arn is None):
            raise ValueError("set both domain_name and certificate_arn, or neither")
        return self


class Relay(Section):
    """The relay service on Fargate. `cpu` in units of 1/1024 vCPU, `memory_mb` in MiB."""

    tasks: Annotated[int, Field(ge=2, le=50)] = 2
    max_tasks: Annotated[int, Field(ge=2, le=200)] = 4
    cpu: Literal[256, 512, 1024, 2048, 4096] = 256
    memory_mb: int = 512
    architecture: Architecture = "arm64"
    spot: bool = False
    connections_per_task: Count = 500
    image: str | None = None

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.max_tasks < self.tasks:
            raise ValueError("max_tasks must be at least tasks")
        capacity.check_fargate(cpu=self.cpu, memory_mb=self.memory_mb)
        return self


class Fargate(Section):
    """Workers without a GPU, for small models. `cpu` in units of 1/1024 vCPU."""

    kind: Literal["fargate"]
    cpu: Literal[1024, 2048, 4096, 8192, 16384] = 2048
    memory_mb: int = 4096
    spot_percent: Percent = 100
    architecture: Literal["x86_64"] = "x86_64"

    @model_validator(mode="after")
    def _exists(self) -> Self:
        capacity.check_fargate(cpu=self.cpu, memory_mb=self.memory_mb)
        return self


class Gpu(Section):
    """Workers on GPU instances, one task an instance. Several nodes a model use EFA."""

    kind: Literal["gpu"]
    instance_types: Annotated[tuple[str, ...], Field(min_length=1)] = ("g6.xlarge",)
    gpus_per_instance: Annotated[int, Field(ge=1, le=16)] = 1
    spot_percent: Percent = 0
    nodes_per_model: Annotated[int, Field(ge=1, le=16)] = 1
    disk_gb: Annotated[int, Field(ge=50, le=16384)] = 150

    @model_validator(mode="after")
    def _exists(self) -> Self:
        for instance_type in self.instance_types:
            if (gpus := capacity.gpus(instance_type)) != self.gpus_per_instance:
                raise ValueError(
                    f"{instance_type} has {gpus} GPUs, gpus_per_instance is "
                    f"{self.gpus_per_instance}"
                )
        return self


VllmValue = str | int | float | bool
_SECTIONS_OWN = {
    "model_name", "model_uri", "tensor_parallel_size", "max_model_len", "lora_adapters",
    "vllm_arguments",
}  # fmt: skip
VLLM_SETTINGS = frozenset(VllmSettings.__annotations__) - _SECTIONS_OWN
"""The worker's settings for vLLM that `inference.vllm` may set."""


MOST_ALIASES_BYTES = 2048
"""Leaves room for the other variables: Lambda's limit for all of a function is 4 KB (quota)."""


class Inference(Section):
    """The worker service: its model, engine, hardware and scaling.

    `model_name` is what requests name. vLLM loads `model_uri`, a folder in S3 (the models bucket
    of the data stack when it is written as ``models://<folder>``). `model_folders`: where further
    models may be loaded from while workers run (docs/models.md), written alike; ``models://`` is
    the whole bucket. `vllm`: more of the worker's settings for vLLM, by name: docs/engines.md.
    `model_aliases`: further names that requests may give, each with the models that it stands for
    and their weights; a model may be loaded later. `ignored_tools`: types of tools that are not
    served, and that requests may list all the same (docs/http.md#tools). `hard_limit_minutes`: the
    longest time that an answer may take, whatever its progress (docs/deadlines.md); None: no limit.
    `upstream_hosts`: which hosts models that are loaded later may name as upstreams
    (docs/upstream.md).
    `trust_remote_code`, `allow_pickled_weights`: a model's folder may run code,
    `allow_unverified_weights`: or have files without a usable checksum (docs/models.md).
    """

    engine: Literal["echo", "smollm2", "vllm"] = "smollm2"
    model_name: str = "smollm2-135m-instruct"
    model_uri: Annotated[str, Field(pattern=r"^(s3|models)://.+")] | None = None
    model_folders: tuple[Annotated[str, Field(pattern=r"^(s3://.+|models://.*)")], ...] = ()
    model_aliases: ModelAliases = {}
    ignored_tools: Annotated[tuple[ToolType, ...], Field(max_length=16)] = ()
    capacity: Annotated[Fargate | Gpu, Field(discriminator="kind")] = Fargate(kind="fargate")
    tensor_parallel_size: Count = 1
    max_model_len: Annotated[int, Field(ge=256)] | None = None
    vllm: dict[str, VllmValue] = {}
    upstream_hosts: tuple[str, ...] = ()
    trust_remote_code: bool = False
    allow_pickled_weights: bool = False
    allow_unverified_weights: bool = False
    slots: Annotated[int, Field(ge=1, le=1024)] = 8
    min_tasks: Annotated[int, Field(ge=0)] = 0
    max_tasks: Count = 2
    backlog_per_task: Annotated[float, Field(gt=0)] = 5.0
    hard_limit_minutes: Count | None = None
    stop_timeout_s: Annotated[int, Field(ge=30, le=3600)] = 110
    image: str | None = None

    @property
    def deadline_variables(self) -> dict[str, str]:
        """Environment variables of the deadlines that differ from the defaults."""
        minutes = self.hard_limit_minutes
        return {} if minutes is None else {"AXON_HARD_LIMIT_S": str(60 * minutes)}

    @property
    def submission_variables(self) -> dict[str, str]:
        """Environment variables of what accepts requests: models, aliases, deadlines.

        A request waits for the deployment's model before its first worker has registered it, and
        its deadlines are written into the response's hash when it is accepted.
        """
        variables = {"AXON_MODELS": self.model_name} | self.deadline_variables
        if self.model_aliases:
            variables["AXON_MODEL_ALIASES"] = dumps(self.model_aliases).decode()
        if self.ignored_tools:
            variables["AXON_IGNORED_TOOLS"] = ",".join(self.ignored_tools)
        return variables

    @property
    def host_variables(self) -> dict[str, str]:
        """Environment variable of the hosts that upstreams may have."""
        hosts = ",".join(self.upstream_hosts)
        return {"AXON_UPSTREAM_HOSTS": hosts} if hosts else {}

    @property
    def trust_variables(self) -> dict[str, str]:
        """Environment variables of what the workers' models may do, where it is more than usual."""
        allowed = {
            "AXON_TRUST_REMOTE_CODE": self.trust_remote_code,
            "AXON_ALLOW_PICKLED_WEIGHTS": self.allow_pickled_weights,
            "AXON_ALLOW_UNVERIFIED_WEIGHTS": self.allow_unverified_weights,
        }
        return self.host_variables | {name: "true" for name, value in allowed.items() if value}

    @field_validator("upstream_hosts")
    @classmethod
    def _hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        UpstreamHosts.parsed(hosts)
        return hosts

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_tasks < max(self.min_tasks, 1):
            raise ValueError("max_tasks must be at least min_tasks and 1")
        if self.engine == "vllm":
            self._fits_vllm()
        elif self.tensor_parallel_size > 1 or any(
            (self.model_uri, self.model_folders, self.max_model_len, self.vllm)
        ):
            raise ValueError(
                "model_uri, model_folders, max_model_len, tensor_parallel_size and vllm are for "
                'engine "vllm" only'
            )
        if self.capacity.kind == "fargate" and self.stop_timeout_s > 110:
            raise ValueError("on Fargate stop_timeout_s is at most 110: a task gets 120 s to stop")
        return self

    @field_validator("model_aliases")
    @classmethod
    def _free(cls, aliases: ModelAliases, info: ValidationInfo) -> ModelAliases:
        check_free(aliases, (info.data.get("model_name", ""),))
        if (length := len(dumps(aliases))) > MOST_ALIASES_BYTES:
            raise ValueError(
                f"{length} bytes as JSON, and a function's environment has room for "
                f"{MOST_ALIASES_BYTES} of them: use fewer, or shorter names"
            )
        return aliases

    @field_validator("vllm")
    @classmethod
    def _known(cls, vllm: dict[str, VllmValue]) -> dict[str, VllmValue]:
        if unknown := sorted(vllm.keys() - VLLM_SETTINGS):
            raise ValueError(f"no setting {unknown[0]!r}: {', '.join(sorted(VLLM_SETTINGS))}")
        VllmSettings.model_validate(vllm)
        return vllm

    def _fits_vllm(self) -> None:
        if self.capacity.kind != "gpu":
            raise ValueError('engine "vllm" needs capacity.kind = "gpu"')
        if self.model_uri is None:
            raise ValueError('engine "vllm" needs model_uri, for example "models://my-model"')
        gpus = self.capacity.gpus_per_instance * self.capacity.nodes_per_model
        if self.tensor_parallel_size > gpus:
            raise ValueError(
                f"tensor_parallel_size {self.tensor_parallel_size} needs more than the {gpus} "
                "GPUs of gpus_per_instance x nodes_per_model"
            )


class Observability(Section):
    """Logs, metrics, dashboards. OpenSearch and Grafana cost money while idle: off by default."""

    log_retention_days: RetentionDays = 7
    alarm_email: Email | None = None
    tracing: bool = True
    prometheus: bool = True
    opensearch_instance_type: Annotated[str, Field(pattern=capacity.SEARCH_INSTANCE)] | None = None
    opensearch_nodes: Annotated[int, Field(ge=1, le=9)] = 1
    grafana: bool = False
