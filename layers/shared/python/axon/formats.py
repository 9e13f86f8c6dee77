"""Versions of the formats that cross a process or a version of Axon, and the rule for readers.

``docs/formats.md`` lists every format. In short: a reader ignores fields that it does not know;
data without a version has version 1; data of a higher version is refused (`UnreadableError`) and
set aside, because a newer version of Axon wrote it and may have changed what known fields mean.
"""

import logging
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import ClassVar, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from axon.exceptions import AxonError
from axon.serialization import loads

logger = logging.getLogger(__name__)

MAX_REASON_LENGTH = 200
"""Longest reason of a refusal: it is an attribute of an SQS message and a cell of a table."""


class Format(StrEnum):
    """A format with a version of its own."""

    JOB = "job"
    HANDED_OVER_JOB = "handed_over_job"
    PUBLICATION = "publication"
    EVENT_LOG = "event_log"
    HISTORY_RECORD = "history_record"
    TURN = "turn"
    REGISTRATION = "registration"


VERSIONS: Mapping[Format, int] = dict.fromkeys(Format, 1) | {
    # Version 2 has its input in the payload store (`axon.inputs`), and is written for that alone.
    Format.JOB: 2,
    Format.HISTORY_RECORD: 2,
    Format.TURN: 2,
}
"""The highest version that can be read; what says the same in a lower one is written in that.

Raised only by a change that today's readers would misunderstand. Such a change takes two releases:
the first one reads both versions and writes the old one, the second one writes the new one.
"""


class UnreadableError(AxonError, ValueError):
    """Data that this version cannot read: of a higher version, or of no version at all.

    Parameters
    ----------
    format : Format
        The format that was expected.
    reason : str
        Why it cannot be read, without anything from the data itself.
    newer : bool
        True if the data has a higher version, so that a newer process could read it.
    """

    def __init__(self, format: Format, reason: str, *, newer: bool = False) -> None:  # noqa: A002
        super().__init__(f"no readable {format}: {reason}")
        self.format = format
        self.reason = reason[:MAX_REASON_LENGTH]
        self.newer = newer


class Versioned(Protocol):
    """An object that says which version of its format it was read from."""

    @property
    def format(self) -> int:
        """The version."""
        ...


class UnreadableLogError(UnreadableError):
    """A response's log that only a newer version can read.

    Parameters
    ----------
    response_id : str
        The response.
    connection_id : str
        The connection that waits for it; its field is one of those that never move.
    relay_id : str
        The relay that is to deliver it; the same holds for this field.
    """

    def __init__(self, response_id: str, *, connection_id: str = "", relay_id: str = "") -> None:
        super().__init__(Format.EVENT_LOG, f"that of {response_id} is newer", newer=True)
        self.connection_id = connection_id
        self.relay_id = relay_id


Refused = Callable[[UnreadableError], None]
"""Takes note of data that could not be read and that was set aside."""

V = TypeVar("V", bound=Versioned)


def log_refusal(error: UnreadableError) -> None:
    """Log that data could not be read: for processes without metrics of their own."""
    logger.error("set aside, %s", error)


def check(format: Format, version: int) -> None:  # noqa: A002
    """Check that data of this version can be read.

    Raises
    ------
    UnreadableError
        It has a higher version.
    """
    if version > VERSIONS[format]:
        reason = f"it has version {version}, and this process reads versions up to "
        raise UnreadableError(format, f"{reason}{VERSIONS[format]}", newer=True)


def read(format: Format, data: bytes | str, validate: Callable[[bytes | str], V]) -> V:  # noqa: A002
    """Return what `validate` makes of JSON.

    Parameters
    ----------
    format : Format
        The format of the data.
    data : bytes | str
        A JSON object whose field `format` is its version.
    validate : Callable[[bytes | str], V]
        A validator of pydantic.

    Raises
    ------
    UnreadableError
        The data has a higher version, or is something else.
    """
    try:
        value = validate(data)
    except ValidationError as error:
        # A higher version may well lack what this one requires: then that is the reason to name.
        check(format, _version_of(data))
        raise UnreadableError(format, _first(error)) from error
    check(format, value.format)
    return value


class FormattedModel(BaseModel):
    """An object that crosses processes as JSON of a format with a version.

    Parameters
    ----------
    format : int
        Version of the format in which it was written.
    """

    FORMAT: ClassVar[Format]

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    format: int = 1

    def encode(self) -> bytes:
        """Return it as JSON."""
        return self.model_dump_json().encode()

    @classmethod
    def decode(cls, data: bytes | str) -> Self:
        """Read what `encode` wrote, in this version or in an earlier one.

        Raises
        ------
        UnreadableError
            The data is something else, or of a higher version.
        """
        return read(cls.FORMAT, data, cls.model_validate_json)


def text_at(data: bytes | str, *path: str) -> str | None:
    """Return a text inside JSON objects that cannot be read otherwise; None if there is none.

    Parameters
    ----------
    data : bytes | str
        Anything.
    path : str
        Names of the fields that lead to it.
    """
    try:
        value = loads(data)
    except ValueError:
        return None
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def _version_of(data: bytes | str) -> int:
    """Return the version that JSON claims to have; 1 if it does not even say that."""
    try:
        value = loads(data)
    except ValueError:
        return 1
    version = value.get("format") if isinstance(value, dict) else None
    return version if isinstance(version, int) else 1


def _first(error: ValidationError) -> str:
    """Return the first fault without the data's own text, which no log or attribute may hold."""
    wrong = error.errors(include_input=False, include_url=False)[0]
    return ": ".join([*map(str, wrong["loc"][:1]), wrong["msg"]])
