"""The `axon` command. Modules of subcommands import heavy packages only when they run."""

import argparse
import sys
from collections.abc import Sequence

from cli import chat, cost, dev, keys, models, status
from cli.dlq import command as dlq
from cli.errors import CommandError


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command."""
    root = argparse.ArgumentParser(
        prog="axon", description="Serve your own language models to any OpenAI client."
    )
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (dev, chat, status, keys, models, dlq, cost):
        command.add_to(commands)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 2 for wrong use, 1 for a failure."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except CommandError as error:
        print(f"axon: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of the output, such as `head`, has ended. Python would report it again at exit.
        sys.stderr.close()
        return 0
    return code
