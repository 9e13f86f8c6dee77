"""`python -m benchmarks engine`: its arguments, and what it prints."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from benchmarks import machine
from benchmarks.engine import report
from benchmarks.engine.model import Pair
from benchmarks.engine.run import Plan, run
from benchmarks.engine.sides import open_sides, start_cloud
from benchmarks.model import BenchmarkError
from local.stack.topology import ENGINES

ON_CPU = {"block_size": 32, "enforce_eager": True, "kv_cache_memory_bytes": 2**28}
"""Small, and nothing compiled: what vLLM needs on a machine without a GPU."""
_PROGRAM = "python -m benchmarks engine"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


def options_from(arguments: Sequence[str]) -> tuple[argparse.Namespace, Plan]:
    """Return the options, and the plan that they ask for."""
    parser = argparse.ArgumentParser(prog=_PROGRAM, description=__doc__)
    parser.add_argument("--engine", choices=("vllm", "smollm2"), default="smollm2")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="what vLLM loads")
    parser.add_argument("--python", type=Path, help="an interpreter that has vLLM")
    parser.add_argument("--clients", type=_numbers, default=(1, 8, 32), help="default 1,8,32")
    parser.add_argument("--tokens", type=int, default=64, help="of an answer; default 64")
    parser.add_argument("--pairs", type=int, default=4, help="of legs; default 4")
    parser.add_argument("--seconds", type=float, default=6.0, help="of a leg, about; default 6")
    parser.add_argument(
        "--engine-core",
        type=int,
        choices=sorted(os.sched_getaffinity(0)),
        help="leave this core to the engine's own processes, as if they had a GPU",
    )
    parser.add_argument("--out", type=Path, help="write the report there too")
    options = parser.parse_args(arguments)
    if (options.engine == "vllm") != (options.model is not None):
        parser.error("--engine vllm and --model (a folder) go together")
    if options.python is not None and options.engine != "vllm":
        parser.error("--python is for --engine vllm")
    plan = Plan(
        clients=options.clients,
        tokens=options.tokens,
        pairs=options.pairs,
        seconds=options.seconds,
    )
    if options.engine_core is not None and len(os.sched_getaffinity(0)) == 1:
        parser.error("--engine-core needs two cores")
    if not plan.clients or min(*plan.clients, plan.tokens, plan.pairs) < 1:
        parser.error("--clients, --tokens and --pairs must be at least 1")
    return options, plan


def settings_for(engine: str, plan: Plan) -> dict[str, str]:
    """Return the worker's environment; what is set in this process's own stays."""
    settings = {"AXON_SLOTS": str(max(plan.clients))}
    if engine == "vllm":
        settings |= {"AXON_VLLM_ARGUMENTS": json.dumps(ON_CPU), "AXON_MAX_MODEL_LEN": "1024"}
    return {name: os.environ.get(name, value) for name, value in settings.items()}


def main(arguments: Sequence[str]) -> int:
    """Run; 1 when anything went wrong."""
    options, plan = options_from(arguments)
    settings = settings_for(options.engine, plan)
    if options.engine_core is not None:  # what is started from now on stays off it
        os.sched_setaffinity(0, os.sched_getaffinity(0) - {options.engine_core})
    name = options.model.resolve().name if options.model else ENGINES[options.engine].model
    began = monotonic()

    def say(line: str) -> None:
        print(f"bench {monotonic() - began:5.0f} s: {line}", file=sys.stderr, flush=True)

    async def measure() -> list[Pair]:
        say(f"loading {options.engine} twice: in Axon, and alone")
        cloud = await start_cloud(
            options.engine, name=name, model=options.model, python=options.python, settings=settings
        )
        try:
            async with open_sides(cloud, engine_core=options.engine_core) as sides:
                return await run(plan, sides.leg, say)
        finally:
            cloud.stop()

    try:
        pairs = asyncio.run(measure())
    except BenchmarkError as error:
        print(f"bench: FAILED {error}", file=sys.stderr)
        return 1
    what = f"Engine: {options.engine}, {name}"
    said = ", ".join(f"{name}={value}" for name, value in settings.items())
    head = [*machine.describe(), f"{what}; answers of up to {plan.tokens} tokens; {said}"]
    if (core := options.engine_core) is not None:
        head.append(f"Both engines' own processes run on core {core} only, all else on the others.")
    text = report.render(pairs, head)
    print(text)
    if options.out is not None:
        options.out.write_text(text)
    return 0
