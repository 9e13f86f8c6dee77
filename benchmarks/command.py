"""Command lines of the benchmarks: options that they share, progress, and the report's output."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from benchmarks.model import BenchmarkError

T = TypeVar("T")

Say = Callable[[str], None]
"""Reports progress."""

ON_CPU = {"block_size": 32, "enforce_eager": True, "kv_cache_memory_bytes": 2**28}
"""Arguments of vLLM for a machine without a GPU: a small KV cache (bytes), and no compilation."""


def new_parser(name: str, description: str | None, **options: Any) -> argparse.ArgumentParser:
    """Return a parser for `python -m benchmarks NAME`; every benchmark has `--out`."""
    program = f"python -m benchmarks {name}".strip()
    parser = argparse.ArgumentParser(prog=program, description=description, **options)
    parser.add_argument("--out", type=Path, help="write the report there too")
    return parser


def add_engine_options(
    parser: argparse.ArgumentParser, *, choices: Sequence[str], default: str, more: str = ""
) -> None:
    """Add the options that choose an engine and, for vLLM, its model and interpreter.

    Parameters
    ----------
    more : str
        What the help of `--engine` says.
    """
    parser.add_argument("--engine", choices=choices, default=default, help=more or None)
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="what vLLM loads")
    parser.add_argument("--python", type=Path, help="an interpreter that has vLLM")


def check_engine_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Exit with an error if the options of `add_engine_options` contradict each other."""
    if (options.engine == "vllm") != (options.model is not None):
        parser.error("--engine vllm and --model (a folder) go together")
    if options.python is not None and options.engine != "vllm":
        parser.error("--python is for --engine vllm")


def comma_list(text: str) -> list[str]:
    """Return the parts of a list that is separated by commas."""
    return [part for part in text.split(",") if part]


def comma_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a list that is separated by commas.

    Raises
    ------
    ValueError
        A part is not a number.
    """
    return tuple(int(part) for part in comma_list(text))


def from_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings; those that this process's environment sets have its values."""
    return {name: os.environ.get(name, value) for name, value in settings.items()}


def describe_settings(settings: Mapping[str, str]) -> str:
    """Return the settings in one line."""
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def progress() -> Say:
    """Return a function that writes lines to standard error, with the seconds since this call."""
    began = monotonic()

    def say(line: str) -> None:
        print(f"bench {monotonic() - began:5.0f} s: {line}", file=sys.stderr, flush=True)

    return say


def print_failure(failure: object) -> None:
    """Write a failure to standard error."""
    print(f"bench: FAILED {failure}", file=sys.stderr)


def run_or_report(work: Coroutine[Any, Any, T]) -> T | None:
    """Return the result of a benchmark, None if it failed; the failure is printed."""
    try:
        return asyncio.run(work)
    except BenchmarkError as error:
        print_failure(error)
        return None


def publish(text: str, out: Path | None) -> None:
    """Print a report, and write it to a file if one was named."""
    print(text)
    if out is not None:
        out.write_text(text)
