"""Case: some scripts, brought to their maximum."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from axon.adapters.valkey.client import Valkey

Prepared = AbstractAsyncContextManager[None]
EVENT = b"x" * 120_000
"""About the largest event: API Gateway carries messages of 128 KB."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Scripts at their maximum.

    Parameters
    ----------
    name : str
        Short name, for the report.
    scripts : Sequence[str]
        The scripts that are called, without the files that they share.
    maximum : str
        What `size` counts.
    size : int
        The documented maximum.
    run : Callable[[Valkey, int], Prepared]
        A context manager: prepares at its beginning, and makes the measured calls at its end.
    """

    name: str
    scripts: Sequence[str] = ()
    maximum: str
    size: int
    run: Callable[[Valkey, int], Prepared]
