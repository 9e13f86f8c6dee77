"""Assumptions of an estimate about clients, responses and models: flags of `axon cost`."""

import math
from dataclasses import dataclass, field, fields

MESSAGE_BYTES = 32 * 1024
"""API Gateway bills a WebSocket message once for every 32 KB (AWS pricing)."""

TEXT_EVENTS = 4
"""Events at the end of a response that repeat its text: text, part and item done, completed."""

OTHER_EVENTS = 4
"""created, in_progress, item added, part added."""

TOKEN_BYTES = 5
EVENT_BYTES = 400


def _asked(default: float, what: str) -> float:
    value: float = field(default=default, metadata={"help": what})
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Assumptions:
    """Everything that the settings of an environment do not say."""

    tokens: float = _asked(300, "tokens of an answer")
    first_token_s: float = _asked(1, "seconds from a request to its first token")
    seconds: float = _asked(10, "seconds from its first token to its last")
    request_bytes: float = _asked(2000, "bytes of a request")
    payload_bytes: float = _asked(5e6, "bytes of an input that waits in S3: above 64 KiB")
    payload_days: float = _asked(1, "days for which it is kept: deleted with its history written")
    requests_per_connection: float = _asked(5, "requests on a connection")
    connection_minutes: float = _asked(1, "minutes that a connection is open, for each request")
    function_ms: float = _asked(50, "milliseconds that an invocation is charged for")
    history_batch: float = _asked(3, "history records that one invocation writes")
    http_bytes: float = _asked(1500, "bytes around a call to an AWS API: headers and TLS")
    log_bytes: float = _asked(4000, "bytes logged for a request, in all places together")
    busy: float = _asked(0.5, "share of a running worker's slots that are generating")
    spot_discount: float = _asked(0.6, "what Spot takes off the price; AWS says up to 0.9 or 0.7")
    idle_log_gb: float = _asked(1, "GB logged in a month in which nobody asks")
    image_gb: float = _asked(5, "GB of container images that are kept")
    model_gb: float = _asked(16, "GB of a model in the models bucket, where there is one")
    series: float = _asked(100, "series that a task tells Prometheus")
    insights: float = _asked(40, "metrics that Container Insights makes of a running service")
    traced: float = _asked(0.05, "share of invocations that are traced, as Lambda's default is")
    editors: float = _asked(1, "editors of Grafana; a workspace is charged for one at least")

    @property
    def deltas(self) -> int:
        """Text deltas of a response: those that the flush policy allows, a token each at least."""
        return min(_flushes(self.seconds), math.ceil(self.tokens))

    @property
    def posts(self) -> int:
        """Events of a response; over WebSocket each is one post to ``@connections``."""
        return OTHER_EVENTS + self.deltas + TEXT_EVENTS

    @property
    def text_bytes(self) -> float:
        """Bytes of an event that repeats the whole text."""
        return EVENT_BYTES + self.tokens * TOKEN_BYTES

    @property
    def messages(self) -> int:
        """Messages that API Gateway bills for a request and its response."""
        asked = math.ceil(self.request_bytes / MESSAGE_BYTES)
        final = TEXT_EVENTS * math.ceil(self.text_bytes / MESSAGE_BYTES)
        return asked + OTHER_EVENTS + self.deltas + final


def _flushes(seconds: float) -> int:
    """Return the number of flushes of a response that takes `seconds`."""
    from axon.settings import WorkerSettings
    from worker.pipeline.flush import FlushPolicy

    names = {field.name: f"flush_{field.name}" for field in fields(FlushPolicy)}
    defaults = WorkerSettings.model_fields
    policy = FlushPolicy(**{name: defaults[flush].default for name, flush in names.items()})
    count, age_s = 1, 0.0
    while (age_s := age_s + policy.interval(age_s)) <= seconds:
        count += 1
    return count
