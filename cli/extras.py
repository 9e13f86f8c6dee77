"""Packages of Axon's extras, which a plain installation lacks."""

from collections.abc import Iterator
from contextlib import contextmanager

from cli.errors import CommandError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import within the block what the extra `name` installs.

    Raises
    ------
    CommandError
        A package is missing; the message names the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(
            f"the package {error.name} is not installed; install axon[{name}]"
        ) from error
