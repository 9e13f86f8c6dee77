"""Arguments that several commands share."""

import argparse
import math
from pathlib import Path
from typing import Protocol


class Commands(Protocol):
    """The object to which a command adds its parser, as `add_subparsers` returns it."""

    def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser:  # noqa: A002
        """Return the parser of a new command."""
        ...


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add --data."""
    parser.add_argument(
        "--data", type=Path, default=Path(".axon"), metavar="DIR", help="default: .axon"
    )


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add --data for a local cloud, and --env and --region for an environment on AWS."""
    add_data(parser)
    parser.add_argument("--env", metavar="NAME", help="an environment on AWS instead")
    parser.add_argument("--region", help="its AWS region (default: as AWS tools find it)")


def at_least_one(text: str) -> int:
    """Parse a number of at least 1."""
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return count


def seconds(text: str) -> float:
    """Parse a number of seconds, 0 or more."""
    span = float(text)
    if not 0 <= span < math.inf:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return span


def port(text: str) -> int:
    """Parse a port number."""
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError("must be between 1 and 65535")
    return number
