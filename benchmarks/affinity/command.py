"""`python -m benchmarks affinity`: its arguments, and what it prints."""

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.affinity import report
from benchmarks.affinity.model import Plan
from benchmarks.affinity.run import run
from benchmarks.command import (
    ON_CPU,
    add_engine_options,
    check_engine_options,
    describe_settings,
    from_environment,
    new_parser,
    progress,
    publish,
    run_or_report,
)


def plan_from(arguments: Sequence[str]) -> tuple[Plan, Path | None]:
    """Return the plan that the command line asks for, and where to write the report."""
    parser = new_parser("affinity", __doc__)
    add_engine_options(
        parser,
        choices=("vllm", "smollm2", "echo"),
        default="vllm",
        more="default vllm; the others have no prefix cache to count",
    )
    parser.add_argument("--workers", type=int, default=2, help="default 2")
    parser.add_argument("--conversations", type=int, default=12, help="default 12")
    parser.add_argument("--turns", type=int, default=5, help="of a conversation; default 5")
    parser.add_argument("--concurrency", type=int, default=4, help="turns at a time; default 4")
    parser.add_argument("--tokens", type=int, default=32, help="of an answer; default 32")
    parser.add_argument("--words", type=int, default=512, help="of instructions; default 512")
    options = parser.parse_args(arguments)
    check_engine_options(parser, options)
    values = {name: value for name, value in vars(options).items() if name != "out"}
    numbers = [value for value in values.values() if isinstance(value, int)]
    if min(numbers) < 1 or options.turns < 2:
        parser.error("every number must be at least 1, and --turns at least 2")
    return Plan(**values), options.out


def settings_for(plan: Plan) -> dict[str, str]:
    """Return the workers' environment; what this process's own environment sets stays."""
    settings = {"AXON_SLOTS": str(plan.concurrency)}
    if plan.engine == "vllm":
        settings |= {"AXON_VLLM_ARGUMENTS": json.dumps(ON_CPU), "AXON_MAX_MODEL_LEN": "2048"}
    return from_environment(settings)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return 1 if it failed."""
    plan, out = plan_from(arguments)
    settings = settings_for(plan)
    legs = run_or_report(run(plan, settings, progress()))
    if legs is None:
        return 1
    model = f", {plan.model.resolve().name}" if plan.model else ""
    engine = f"Engine: {plan.engine}{model}; {describe_settings(settings)}"
    publish(report.render(legs, plan, [*machine.describe(), engine]), out)
    return 0
