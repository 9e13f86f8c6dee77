"""Main function of the stand-ins: configuration file, signals, exit codes."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import uvloop
from pydantic import BaseModel, ValidationError

from axon.process import allow_open_files

Config = TypeVar("Config", bound=BaseModel)

_OPEN_FILES = 8192


def run(
    name: str,
    config_type: type[Config],
    serve: Callable[[Config, asyncio.Event], Awaitable[None]],
) -> int:
    """Run `serve` with the configuration of `--config FILE` until SIGTERM or SIGINT.

    Returns
    -------
    int
        Exit code: 2, after one line on standard error, if the file is wrong or a port is taken.
    """
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--config", type=Path, required=True)
    file: Path = parser.parse_args().config
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    allow_open_files(_OPEN_FILES)
    try:
        config = config_type.model_validate_json(file.read_bytes())
        uvloop.run(_until_signalled(config, serve))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        return _refuse(name, f"{file}: {'; '.join(faults)}")
    except OSError as error:
        return _refuse(name, str(error))
    return 0


async def _until_signalled(
    config: Config, serve: Callable[[Config, asyncio.Event], Awaitable[None]]
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(config, stop)


def _refuse(name: str, message: str) -> int:
    sys.stderr.write(f"{name}: {message}\n")
    return 2
