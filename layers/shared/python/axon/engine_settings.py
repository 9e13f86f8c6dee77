"""Settings of engines, and of the stages before and behind them."""

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from axon.base_settings import Settings
from axon.setting_types import (
    BaseUrl,
    CallFormatName,
    Count,
    Hosts,
    JsonObject,
    Milliseconds,
    Names,
    Port,
    ReasoningFormatName,
    Seconds,
)


class VllmSettings(Settings):
    """Settings of the vLLM engine; those not described are ``AsyncEngineArgs`` of the same name.

    None leaves it to vLLM. `lora_adapters` are models of their own: a name, and a folder here or
    in S3. `vllm_arguments`: further ``AsyncEngineArgs``.
    """

    model_name: str | None = None
    model_uri: str | None = None
    tensor_parallel_size: Count = 1
    pipeline_parallel_size: Count = 1
    data_parallel_size: Count = 1
    max_model_len: Count | None = None
    max_num_batched_tokens: Count | None = None
    enable_prefix_caching: bool = True
    scheduling_policy: Literal["fcfs", "priority"] = "fcfs"
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    dtype: Literal["auto", "half", "float16", "bfloat16", "float", "float32"] = "auto"
    quantization: str | None = None
    enable_sleep_mode: bool = False
    enable_lora: bool = False
    max_loras: Count = 1
    max_lora_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = 16
    lora_adapters: Annotated[dict[str, str], JsonObject] = Field(default_factory=dict)
    vllm_arguments: Annotated[dict[str, Any], JsonObject] = Field(default_factory=dict)

    @field_validator("max_lora_rank", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @field_validator("lora_adapters")
    @classmethod
    def _served(cls, adapters: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if adapters and not info.data.get("enable_lora"):
            raise ValueError("needs AXON_ENABLE_LORA=true")
        if (name := info.data.get("model_name")) in adapters:
            raise ValueError(f"{name!r} is the name of the model itself")
        return adapters


class EngineSettings(VllmSettings):
    """An engine and the stages before and behind it, wherever its requests come from.

    A worker serves its engine's only model as `model_name` if that is set. An endpoint uses the
    engine's own name for it, which for ``echo`` is `model_name`, too.
    `queue_...`: how many requests, or flushes in the last two, wait before a stage at most.
    `otlp_endpoint`: where traces go (OTLP over HTTP), for example ``http://127.0.0.1:4318``.
    `engine_stall_s`: an engine that gives no token for this time, though requests run, hangs.
    `engine_start_timeout_s`: how long a model may take to load.
    `call_format`, `reasoning_format`: how models write calls and reasoning, where their chat
    templates do not show it, or show it wrongly (docs/engines.md).
    `upstream_hosts`: hosts that models which are loaded later may name in `upstream_url`.
    Other `upstream_*` are for the engine ``openai``: docs/upstream.md.
    `trust_remote_code`, `allow_pickled_weights`: a model's folder may run code when it is loaded.
    `allow_unverified_weights`: files from S3 may have no checksum that can be compared.
    `health_token`: what requests to `health_port` must send, where other users reach it.
    """

    health_port: Port = 0
    health_token: SecretStr | None = None
    stop_timeout_s: Seconds = 20
    otlp_endpoint: str | None = None

    engine: Literal["echo", "smollm2", "vllm", "openai"] = "echo"
    call_format: CallFormatName | None = None
    reasoning_format: ReasoningFormatName | None = None
    slots: Annotated[int, Field(ge=1)] = 8
    echo_ttft_ms: Milliseconds = 0
    echo_token_ms: Milliseconds = 0

    upstream_url: BaseUrl | None = None
    upstream_hosts: Hosts = ()
    upstream_api_key: SecretStr | None = None
    upstream_models: Names = ()
    upstream_kind: Literal["auto", "vllm", "openai"] = "auto"
    upstream_context_window: Annotated[int, Field(ge=1)] = 8192
    upstream_connect_timeout_s: Seconds = 5
    upstream_first_token_timeout_s: Seconds = 120
    upstream_token_timeout_s: Seconds = 30
    upstream_retries: Annotated[int, Field(ge=0, le=10)] = 2

    trust_remote_code: bool = False
    allow_pickled_weights: bool = False
    allow_unverified_weights: bool = False

    engine_stall_s: Seconds = 60
    engine_start_timeout_s: Seconds = 1800

    queue_retrieve: Count = 512
    queue_assemble: Count = 512
    queue_infer: Count = 1024
    queue_post: Count = 512
    queue_stream: Count = 256

    flush_first_s: Seconds = 0.038
    flush_last_s: Seconds = 0.2
    flush_steady_s: Seconds = 1.0
    flush_ramp_s: Seconds = 0.5
