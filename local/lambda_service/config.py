"""The service's configuration file."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seconds = Annotated[float, Field(gt=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EarlierCode(_Frozen):
    """The code of an earlier version, with the interpreter that has what it imports.

    Parameters
    ----------
    python : Path
        Interpreter of the earlier version's virtual environment.
    folder : Path
        Folder of the function's handler.
    layers : tuple[Path, ...]
        Folders that the function can import from, in place of the service's.
    """

    python: Path
    folder: Path
    layers: tuple[Path, ...] = ()


class FunctionConfig(_Frozen):
    """One function.

    Above `max_environments` concurrent invocations, requests wait in order for a free environment,
    until their caller gives up. (Lambda answers 429 at once; with the few environments of a laptop
    that would refuse bursts that the real service accepts.)

    With `earlier`, every second environment runs that code: a deployment under way, during which
    Lambda serves from environments of both versions.
    """

    folder: Path
    handler: str = Field(default="handler.handler", pattern=r"^[^.]+(\.[^.]+)+$")
    environment: dict[str, str] = {}
    timeout_s: Annotated[float, Field(gt=0, le=900)] = 3
    memory_mb: Annotated[int, Field(ge=128, le=10240)] = 128
    min_environments: Annotated[int, Field(ge=0)] = 0
    max_environments: Annotated[int, Field(ge=1)] = 8
    earlier: EarlierCode | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min_environments > self.max_environments:
            raise ValueError("min_environments exceeds max_environments")
        if not self.folder.is_dir():
            raise ValueError(f"no such folder: {self.folder}")
        return self


class EventSourceConfig(_Frozen):
    """A queue whose messages invoke a function, `concurrency` batches at the same time."""

    queue_url: str = Field(pattern=r"^https?://[^/]+/[^/]+/[^/]+$")
    function: str
    batch_size: Annotated[int, Field(ge=1, le=10)] = 10
    report_batch_item_failures: bool = True
    concurrency: Annotated[int, Field(ge=1)] = 1
    wait_s: Annotated[int, Field(ge=0, le=20)] = 20

    @property
    def queue_name(self) -> str:
        """The name at the end of the queue's URL."""
        return self.queue_url.rsplit("/", 1)[1]


class ScheduleConfig(_Frozen):
    """A function that is invoked `first_s` after the start, and then every `every_s` seconds.

    EventBridge invokes it first after a whole interval; a laptop may be shut down before.
    """

    function: str
    every_s: Seconds
    first_s: Seconds = 60


class LambdaServiceConfig(_Frozen):
    """The whole file.

    Parameters
    ----------
    port : Annotated[int, Field(ge=0, le=65535)]
        Port to listen on; 0 for any free one.
    token : str | None
        Session token that callers send, and that the service sends to queues; None for none.
    region : str
        Region in ARNs.
    account_id : str
        Account in ARNs.
    layers : tuple[Path, ...]
        Folders that every function can import from.
    functions : dict[str, FunctionConfig]
        Functions by name.
    event_sources : tuple[EventSourceConfig, ...]
        Queues whose messages invoke functions.
    schedules : tuple[ScheduleConfig, ...]
        Functions that are invoked at intervals.
    init_timeout_s : float
        Time for an environment's start. Lambda allows 10 s; a laptop starts everything at once.
    event_retry_delays_s : tuple[float, ...]
        Pauses before the second and the third try of an asynchronous invocation.
    stop_timeout_s : float
        Time for running invocations to end when the service stops.
    """

    port: Annotated[int, Field(ge=0, le=65535)]
    token: str | None = None
    region: str = "us-east-1"
    account_id: str = "000000000000"
    layers: tuple[Path, ...] = ()
    functions: dict[str, FunctionConfig]
    event_sources: tuple[EventSourceConfig, ...] = ()
    schedules: tuple[ScheduleConfig, ...] = ()
    init_timeout_s: Seconds = 30
    event_retry_delays_s: tuple[Seconds, ...] = (60, 120)
    stop_timeout_s: Seconds = 5

    @model_validator(mode="after")
    def _check(self) -> Self:
        for source in self.event_sources:
            if source.function not in self.functions:
                raise ValueError(f"an event source names the unknown function {source.function!r}")
        for schedule in self.schedules:
            if schedule.function not in self.functions:
                raise ValueError(f"a schedule names the unknown function {schedule.function!r}")
        return self
