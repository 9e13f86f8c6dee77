"""`python -m benchmarks engine`: its arguments, and what it prints."""

import argparse
import json
import os
from collections.abc import Sequence

from benchmarks import machine
from benchmarks.command import (
    ON_CPU,
    add_engine_options,
    check_engine_options,
    comma_list,
    comma_numbers,
    describe_settings,
    from_environment,
    new_parser,
    progress,
    publish,
    run_or_report,
)
from benchmarks.engine import report
from benchmarks.engine.model import AXON, AXON_SSE, Pair
from benchmarks.engine.run import Plan, run
from benchmarks.engine.sides import open_sides, start_cloud
from local.stack.topology import ENGINES

_SHORT = {"axon": AXON, "axon-sse": AXON_SSE}


def options_from(arguments: Sequence[str]) -> tuple[argparse.Namespace, Plan]:
    """Return the options, and the plan that they ask for."""
    parser = new_parser("engine", __doc__)
    add_engine_options(parser, choices=("vllm", "smollm2"), default="smollm2")
    parser.add_argument("--clients", type=comma_numbers, default=(1, 8, 32), help="default 1,8,32")
    parser.add_argument("--tokens", type=int, default=64, help="of an answer; default 64")
    parser.add_argument("--pairs", type=int, default=4, help="of legs; default 4")
    parser.add_argument("--seconds", type=float, default=6.0, help="of a leg, about; default 6")
    parser.add_argument("--sides", type=comma_list, default=list(_SHORT), help=",".join(_SHORT))
    parser.add_argument(
        "--engine-core",
        type=int,
        choices=sorted(os.sched_getaffinity(0)),
        help="leave this core to the engine's own processes, as if they had a GPU",
    )
    options = parser.parse_args(arguments)
    check_engine_options(parser, options)
    if not options.sides or set(options.sides) - set(_SHORT):
        parser.error(f"--sides are of {', '.join(_SHORT)}")
    plan = Plan(
        clients=options.clients,
        tokens=options.tokens,
        pairs=options.pairs,
        seconds=options.seconds,
        sides=tuple(_SHORT[name] for name in _SHORT if name in options.sides),
    )
    if options.engine_core is not None and len(os.sched_getaffinity(0)) == 1:
        parser.error("--engine-core needs two cores")
    if not plan.clients or min(*plan.clients, plan.tokens, plan.pairs) < 1:
        parser.error("--clients, --tokens and --pairs must be at least 1")
    return options, plan


def settings_for(engine: str, plan: Plan) -> dict[str, str]:
    """Return the worker's environment; what this process's own environment sets stays."""
    settings = {"AXON_SLOTS": str(max(plan.clients))}
    if engine == "vllm":
        settings |= {"AXON_VLLM_ARGUMENTS": json.dumps(ON_CPU), "AXON_MAX_MODEL_LEN": "1024"}
    return from_environment(settings)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return 1 if it failed."""
    options, plan = options_from(arguments)
    settings = settings_for(options.engine, plan)
    if options.engine_core is not None:  # inherited by all processes that are started from now on
        os.sched_setaffinity(0, os.sched_getaffinity(0) - {options.engine_core})
    name = options.model.resolve().name if options.model else ENGINES[options.engine].model
    pairs = run_or_report(_measure(options, plan, name=name, settings=settings))
    if pairs is None:
        return 1
    what = f"Engine: {options.engine}, {name}; answers of up to {plan.tokens} tokens"
    head = [*machine.describe(), f"{what}; {describe_settings(settings)}"]
    if (core := options.engine_core) is not None:
        head.append(f"Both engines' own processes run on core {core} only, all else on the others.")
    publish(report.render(pairs, head), options.out)
    return 0


async def _measure(
    options: argparse.Namespace, plan: Plan, *, name: str, settings: dict[str, str]
) -> list[Pair]:
    say = progress()
    say(f"loading {options.engine} twice: in Axon, and alone")
    cloud = await start_cloud(
        options.engine, name=name, model=options.model, python=options.python, settings=settings
    )
    try:
        async with open_sides(cloud, engine_core=options.engine_core) as sides:
            return await run(plan, sides.leg, say)
    finally:
        cloud.stop()
