"""`axon status`: what a running Axon is doing."""

import argparse
from typing import TYPE_CHECKING

from cli.arguments import Commands, add_data
from cli.tables import duration, table

if TYPE_CHECKING:
    from cli.inspection import Report


def add_to(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser("status", help="show processes, queues and active responses")
    add_data(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the report."""
    from cli.inspection import inspect

    report = inspect(arguments.data)
    print(report.as_json() if arguments.json else as_text(report))
    return 0


def as_text(report: "Report") -> str:
    """Return the report for people."""
    processes = [
        (process.name, process.pid or "-", process.state, duration(process.up_s), process.restarts)
        for process in report.processes
    ]
    queues = [(queue.name, queue.visible, queue.in_flight) for queue in report.queues]
    parts = [
        f"{report.base_url}  engine {report.engine}, model {report.model}",
        table(("process", "pid", "state", "for", "restarts"), processes),
        table(("queue", "visible", "in flight"), queues),
        _responses(report),
    ]
    return "\n\n".join(parts)


def _responses(report: "Report") -> str:
    if not report.active:
        return "no active responses"
    rows = [(item.response_id, item.status, duration(item.age_s)) for item in report.active]
    lines = [f"{report.active_count} active responses", table(("id", "status", "age"), rows)]
    if report.active_count > len(rows):
        lines.append(f"and {report.active_count - len(rows)} more")
    return "\n".join(lines)
