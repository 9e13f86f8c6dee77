"""The cost of the HTTP API in either home: while nobody asks, and by the answer."""

from axon.catalog import FRONT_FUNCTION
from infra.cost.assumptions import EVENT_BYTES, TEXT_EVENTS, Assumptions
from infra.cost.bill import Bill
from infra.cost.workers import HOURS, add_fargate
from infra.settings.environment import BalancedFront, EnvironmentSettings, FunctionFront

MILLION = 1e6
GB = 1e9

# One load balancer capacity unit (AWS ELB pricing); the largest of the three is billed.
LCU_BYTES = GB
LCU_CONNECTIONS = 3000
LCU_NEW_CONNECTIONS_S = 25

REQUESTS_METRIC = 1
"""The custom metric by which the fronts scale."""


def add_idle_front(
    bill: Bill,
    settings: EnvironmentSettings,
    front: BalancedFront | FunctionFront,
    assumptions: Assumptions,
) -> None:
    """Add the lines of an idle month; a function has none."""
    if isinstance(front, FunctionFront):
        return
    bill.add("Load balancer", "alb/hour", HOURS)
    bill.add(
        "Public IPv4 addresses of the load balancer", "ipv4/hour", HOURS * settings.network.zones
    )
    add_fargate(bill, "Fronts", front, hours=HOURS * front.tasks, detail=f"{front.tasks} of ")
    metrics = assumptions.insights + REQUESTS_METRIC
    bill.add("Metrics of the front service", "cloudwatch/metric", metrics)


def add_answers(
    bill: Bill,
    settings: EnvironmentSettings,
    front: BalancedFront | FunctionFront,
    assumptions: Assumptions,
) -> None:
    """Add the lines of a million streamed answers."""
    open_s = assumptions.first_token_s + assumptions.seconds
    if isinstance(front, FunctionFront):
        # A function answers one request at a time, and is charged for as long as that takes.
        memory_gb = FRONT_FUNCTION.memory_mb / 1024
        architecture = settings.functions.architecture
        bill.add("Front function: invocations", "lambda/requests", 1)
        bill.add("Front function: time", f"lambda/{architecture}", MILLION * memory_gb * open_s)
        return
    units = max(
        answer_bytes(assumptions) / LCU_BYTES,
        open_s / 3600 / LCU_CONNECTIONS,
        1 / assumptions.requests_per_connection / 3600 / LCU_NEW_CONNECTIONS_S,
    )
    bill.add("Load balancer: capacity units", "alb/lcu", MILLION * units)
    hours = MILLION * open_s / 3600 / front.requests_per_task
    add_fargate(bill, "Fronts beyond the idle ones", front, hours=hours)


def answer_bytes(assumptions: Assumptions) -> float:
    """Return the bytes of a request and its streamed answer."""
    events = assumptions.posts * EVENT_BYTES
    texts = TEXT_EVENTS * (assumptions.text_bytes - EVENT_BYTES)
    return assumptions.request_bytes + assumptions.http_bytes + events + texts
