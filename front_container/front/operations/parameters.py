"""Parameters of requests: read from the request by the same objects that describe them."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from multidict import MultiMapping
from typing_extensions import override

from axon.exceptions import RequestError
from axon.protocol.objects import Json

Place = Literal["path", "query", "header"]
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parameter(ABC):
    """A parameter of a request.

    Parameters
    ----------
    name : str
        Its name.
    description : str
        What it says, for clients.
    """

    name: str
    description: str

    @property
    def place(self) -> Place:
        """Part of the request that has it."""
        return "query"

    @property
    @abstractmethod
    def schema(self) -> Json:
        """JSON schema of its values."""


@dataclass(frozen=True, slots=True)
class PathParameter(Parameter):
    """A variable of a path, of any text: what it names is found, or not."""

    @property
    @override
    def place(self) -> Place:
        return "path"

    @property
    @override
    def schema(self) -> Json:
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class Header(Parameter):
    """A header.

    Parameters
    ----------
    longest : int | None
        Most characters of its value.
    """

    longest: int | None = None

    @property
    @override
    def place(self) -> Place:
        return "header"

    @property
    @override
    def schema(self) -> Json:
        return {"type": "string"} | ({"maxLength": self.longest} if self.longest else {})


@dataclass(frozen=True, slots=True)
class Text(Parameter):
    """A parameter of any text."""

    @property
    @override
    def schema(self) -> Json:
        return {"type": "string"}

    def of(self, query: Mapping[str, str]) -> str | None:
        """Return its value, None if it is not there."""
        return query.get(self.name)


@dataclass(frozen=True, slots=True)
class Flag(Parameter):
    """A parameter that is true or false; false if it is not there."""

    @property
    @override
    def schema(self) -> Json:
        return {"type": "boolean", "default": False}

    def of(self, query: Mapping[str, str]) -> bool:
        """Return its value.

        Raises
        ------
        RequestError
            It is neither true nor false.
        """
        value = query.get(self.name, "false").lower()
        if value not in ("true", "false"):
            raise _invalid(self.name, "must be true or false")
        return value == "true"


@dataclass(frozen=True, slots=True)
class Choice(Parameter):
    """A parameter that has one of a few values.

    Parameters
    ----------
    values : tuple[str, ...]
        The values; the first one if it is not there.
    """

    values: tuple[str, ...]

    @property
    @override
    def schema(self) -> Json:
        return {"type": "string", "enum": list(self.values), "default": self.values[0]}

    def of(self, query: Mapping[str, str]) -> str:
        """Return its value.

        Raises
        ------
        RequestError
            It has another one.
        """
        value = query.get(self.name, self.values[0])
        if value not in self.values:
            raise _invalid(self.name, f"must be {' or '.join(map(repr, self.values))}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer(Parameter):
    """A parameter that is an integer.

    Parameters
    ----------
    default : int
        The value if it is not there.
    least, most : int, int
        The smallest and the largest value that are taken.
    """

    default: int
    least: int
    most: int

    @property
    @override
    def schema(self) -> Json:
        bounds = {"minimum": self.least, "maximum": self.most, "default": self.default}
        return {"type": "integer", **bounds}

    def of(self, query: Mapping[str, str]) -> int:
        """Return its value.

        Raises
        ------
        RequestError
            It is no integer, too small or too large.
        """
        if (text := query.get(self.name)) is None:
            return self.default
        if not _INTEGER.fullmatch(text) or not self.least <= int(text) <= self.most:
            raise _invalid(self.name, f"must be an integer from {self.least} to {self.most}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Include(Parameter):
    """A parameter that names what an answer is to have besides; it may come several times.

    OpenAI's SDKs write ``include[]``, other clients ``include``.

    Parameters
    ----------
    values : tuple[str, ...]
        The values that are taken.
    """

    values: tuple[str, ...]

    @property
    @override
    def schema(self) -> Json:
        return {"type": "array", "items": {"type": "string", "enum": list(self.values)}}

    def check(self, query: MultiMapping[str]) -> None:
        """Check its values.

        Raises
        ------
        RequestError
            One asks for something that is not served.
        """
        asked = [*query.getall(self.name, ()), *query.getall(f"{self.name}[]", ())]
        if unserved := [value for value in asked if value not in self.values]:
            raise RequestError(
                f"Unsupported value for '{self.name}': '{unserved[0][:64]}'. Leave it out: only "
                f"{', '.join(map(repr, self.values))} is taken.",
                code="unsupported_parameter",
                param=self.name,
            )


ANTHROPIC_VERSION = Header(
    "anthropic-version",
    "Sent by Anthropic's SDKs. A request that has it gets Anthropic's errors and shapes.",
)
CLIENT_REQUEST_ID = Header(
    "X-Client-Request-Id",
    "An id of the client's own, returned as `x-request-id`: at most 128 letters, digits and "
    "`_.:/+=-`; any other value is ignored.",
)
IDEMPOTENCY_KEY = Header(
    "Idempotency-Key",
    "A request that is sent again with the same key gets the first one's answer, from its "
    "beginning. Empty is none.",
    255,
)


def _invalid(name: str, reason: str) -> RequestError:
    return RequestError(f"Invalid '{name}': {reason}.", code="invalid_value", param=name)
