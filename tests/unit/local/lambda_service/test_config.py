from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from local.lambda_service.config import EventSourceConfig, FunctionConfig, LambdaServiceConfig

QUEUE = "http://127.0.0.1:1/000000000000/jobs.fifo"


def service(folder: Path, **changes: Any) -> LambdaServiceConfig:
    values: dict[str, Any] = {"port": 0, "functions": {"f": {"folder": folder}}}
    return LambdaServiceConfig.model_validate(values | changes)


def test_config_defaults_are_those_of_lambda(tmp_path: Path) -> None:
    function = service(tmp_path).functions["f"]
    assert (function.timeout_s, function.memory_mb) == (3, 128)
    assert (function.min_environments, function.max_environments) == (0, 8)
    assert service(tmp_path).event_retry_delays_s == (60, 120)


def test_config_reads_the_queue_name_from_its_url() -> None:
    assert EventSourceConfig(queue_url=QUEUE, function="f").queue_name == "jobs.fifo"


@pytest.mark.parametrize(
    "change",
    [
        {"handler": "handler"},
        {"timeout_s": 901},
        {"timeout_s": 0},
        {"min_environments": 2, "max_environments": 1},
        {"folder": "/nowhere"},
        {"unknown": 1},
    ],
)
def test_config_refuses_wrong_functions(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FunctionConfig.model_validate({"folder": tmp_path, **change})


@pytest.mark.parametrize(
    "change",
    [{"function": "other"}, {"queue_url": "jobs"}, {"batch_size": 11}, {"wait_s": 21}],
)
def test_config_refuses_wrong_event_sources(tmp_path: Path, change: dict[str, Any]) -> None:
    source = {"queue_url": QUEUE, "function": "f"}
    assert service(tmp_path, event_sources=[source])
    with pytest.raises(ValidationError):
        service(tmp_path, event_sources=[{**source, **change}])
