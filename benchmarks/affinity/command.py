"""`python -m benchmarks affinity`: its arguments, and what it prints."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from benchmarks import machine
from benchmarks.affinity import report
from benchmarks.affinity.model import Plan
from benchmarks.affinity.run import run
from benchmarks.engine.command import ON_CPU
from benchmarks.model import BenchmarkError

_PROGRAM = "python -m benchmarks affinity"


def plan_from(arguments: Sequence[str]) -> tuple[Plan, Path | None]:
    """Return the plan that the command line asks for, and where to write the report."""
    parser = argparse.ArgumentParser(prog=_PROGRAM, description=__doc__)
    parser.add_argument(
        "--engine",
        choices=("vllm", "smollm2", "echo"),
        default="vllm",
        help="default vllm; the others have no prefix cache to count",
    )
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="what vLLM loads")
    parser.add_argument("--python", type=Path, help="an interpreter that has vLLM")
    parser.add_argument("--workers", type=int, default=2, help="default 2")
    parser.add_argument("--conversations", type=int, default=12, help="default 12")
    parser.add_argument("--turns", type=int, default=5, help="of a conversation; default 5")
    parser.add_argument("--concurrency", type=int, default=4, help="turns at a time; default 4")
    parser.add_argument("--tokens", type=int, default=32, help="of an answer; default 32")
    parser.add_argument("--words", type=int, default=512, help="of instructions; default 512")
    parser.add_argument("--out", type=Path, help="write the report there too")
    options = parser.parse_args(arguments)
    if (options.engine == "vllm") != (options.model is not None):
        parser.error("--engine vllm (the default) and --model (a folder) go together")
    if options.python is not None and options.engine != "vllm":
        parser.error("--python is for --engine vllm")
    values = {name: value for name, value in vars(options).items() if name != "out"}
    numbers = [value for value in values.values() if isinstance(value, int)]
    if min(numbers) < 1 or options.turns < 2:
        parser.error("every number must be at least 1, and --turns at least 2")
    return Plan(**values), options.out


def settings_for(plan: Plan) -> dict[str, str]:
    """Return the workers' environment; what is set in this process's own stays."""
    settings = {"AXON_SLOTS": str(plan.concurrency)}
    if plan.engine == "vllm":
        settings |= {"AXON_VLLM_ARGUMENTS": json.dumps(ON_CPU), "AXON_MAX_MODEL_LEN": "2048"}
    return {name: os.environ.get(name, value) for name, value in settings.items()}


def main(arguments: Sequence[str]) -> int:
    """Run; 1 when anything went wrong."""
    plan, out = plan_from(arguments)
    settings = settings_for(plan)
    began = monotonic()

    def say(line: str) -> None:
        print(f"bench {monotonic() - began:5.0f} s: {line}", file=sys.stderr, flush=True)

    try:
        legs = asyncio.run(run(plan, settings, say))
    except BenchmarkError as error:
        print(f"bench: FAILED {error}", file=sys.stderr)
        return 1
    model = f", {plan.model.resolve().name}" if plan.model else ""
    said = ", ".join(f"{name}={value}" for name, value in settings.items())
    text = report.render(legs, plan, [*machine.describe(), f"Engine: {plan.engine}{model}; {said}"])
    print(text)
    if out is not None:
        out.write_text(text)
    return 0
