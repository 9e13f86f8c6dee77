import asyncio
import gc
import json
import logging
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from axon.base_settings import Settings
from axon.process import (
    allow_open_files,
    configure_logging,
    settle_garbage_collection,
    stop_on_signals,
)


@contextmanager
def configured(**settings: str) -> Iterator[None]:
    """Log as a service does, not as the tests do."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        configure_logging(Settings.model_validate(settings))
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def test_logging_writes_one_line_per_record(capsys: pytest.CaptureFixture[str]) -> None:
    with configured(log_level="INFO"):
        logging.getLogger("worker").info("%s ends", "resp_1")
        logging.getLogger("worker").debug("nothing")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(" INFO worker resp_1 ends")


def test_logging_writes_json(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("worker")
    with configured(log_level="WARNING", log_format="json"):
        logger.warning('two\nlines, "quoted" %s \ud800', "wörld")
        logger.info("nothing")
        try:
            raise KeyError("x")
        except KeyError:
            logger.exception("failed")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    at = datetime.fromisoformat(first.pop("timestamp"))
    assert timedelta() <= datetime.now(UTC) - at < timedelta(minutes=1)
    assert first == {
        "level": "WARNING",
        "logger": "worker",
        "message": 'two\nlines, "quoted" wörld \ud800',
    }
    assert second["exception"].startswith("Traceback")
    assert second["exception"].endswith("KeyError")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stop_on_signals_sets_the_event(number: signal.Signals) -> None:
    stop = stop_on_signals()
    assert not stop.is_set()
    os.kill(os.getpid(), number)
    async with asyncio.timeout(5):
        await stop.wait()
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)


def test_settled_collection_leaves_out_what_the_process_keeps() -> None:
    thresholds = gc.get_threshold()
    try:
        settle_garbage_collection()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] > thresholds[0]
        assert gc.get_threshold()[1:] == thresholds[1:]
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((1024, 4096), [(4096, 4096)]),
        ((1024, 100_000), [(65_535, 100_000)]),
        ((1024, resource.RLIM_INFINITY), [(65_535, resource.RLIM_INFINITY)]),
        ((100_000, 100_000), []),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), []),
    ],
)
def test_process_may_open_as_many_files_as_its_hard_limit_allows(
    limits: tuple[int, int], expected: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: raised.append(limit))
    allow_open_files()
    assert raised == expected
