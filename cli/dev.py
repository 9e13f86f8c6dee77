"""`axon dev`: run the local cloud."""

import argparse
import contextlib
import os
from pathlib import Path

from cli.arguments import Commands, add_data, at_least_one, port
from cli.errors import CommandError
from cli.extras import extra


def add_to(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser("dev", help="run all of Axon on this machine")
    parser.add_argument("--engine", choices=("smollm2", "echo", "vllm"), default="smollm2")
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="what vLLM loads; the folder's name is its own"
    )
    parser.add_argument(
        "--python",
        type=Path,
        default=os.environ.get("AXON_VLLM_PYTHON"),
        help="an interpreter that has vLLM (default: $AXON_VLLM_PYTHON, else Axon's own)",
    )
    parser.add_argument("--port", type=port, default=8000, help="for clients (default: 8000)")
    add_data(parser)
    parser.add_argument("--workers", type=at_least_one, default=1, metavar="N")
    parser.add_argument("--relays", type=at_least_one, default=1, metavar="N")
    parser.add_argument("--ephemeral", action="store_true", help="forget all data at the end")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name of this machine that clients use, as a tunnel's; may be repeated",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the local cloud until Ctrl-C."""
    import asyncio

    with extra("local"):
        from local.errors import LocalCloudError
        from local.stack import cloud
        from local.stack.options import Options

    options = Options(
        engine=arguments.engine,
        port=arguments.port,
        data=arguments.data,
        workers=arguments.workers,
        relays=arguments.relays,
        ephemeral=arguments.ephemeral,
        model=arguments.model,
        python=arguments.python if arguments.engine == "vllm" else None,
        allowed_hosts=tuple(name.lower() for name in arguments.allow_host),
    )
    os.umask(0o077)  # of all programs, too: their files have conversations and passwords
    try:
        asyncio.run(cloud.run(options, say))
    except LocalCloudError as error:
        raise CommandError(str(error)) from error
    return 0


def say(line: str) -> None:
    """Print a line at once.

    A terminal that is gone raises no error: the programs are still stopped in order.
    """
    with contextlib.suppress(OSError):
        print(line, flush=True)
