"""`axon`: one module a subcommand, each imported for its arguments only until it runs."""

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
    """Run a command; 2 when it cannot be done, 1 when it failed."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except CommandError as error:
        print(f"axon: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python would complain again while it exits.
        sys.stderr.close()
        return 0
    return code
