"""Operations: what the description of the API says of a route, beside its method and path."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from axon.protocol.objects import Json
from front.operations.parameters import Parameter

JSON = "application/json"
EVENTS = "text/event-stream"
HTML = "text/html"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestBody:
    """The JSON body of a request.

    What is refused, and what is taken without effect, is described from the same tables that
    requests are checked with.

    Parameters
    ----------
    model : type[BaseModel]
        Validates the body.
    hidden : Collection[str]
        Fields of the model that only WebSocket messages have.
    added : Mapping[str, Json]
        Schemas of fields that the model lacks.
    longest : Mapping[str, int]
        Most entries of lists, where the model takes more.
    ignored : Collection[str]
        Fields that are taken and change nothing.
    refused : Mapping[str, str]
        Fields that are not served, each with what to do instead.
    harmless : Mapping[str, tuple[Any, ...]]
        Values of refused fields that are taken, beside null.
    closed : bool
        Fields that nobody knows are refused, too.
    """

    model: type[BaseModel]
    hidden: Collection[str] = ()
    added: Mapping[str, Json] = field(default_factory=dict)
    longest: Mapping[str, int] = field(default_factory=dict)
    ignored: Collection[str] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    harmless: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Events:
    """Server-sent events of an answer.

    Parameters
    ----------
    shapes : Mapping[str, Any]
        Types of the events' data, by the events' names; where events are sent without one, the
        key says what they are.
    named : bool
        Whether the events are sent with these names.
    last : str | None
        Text of the last event, which is no JSON.
    """

    shapes: Mapping[str, Any]
    named: bool = True
    last: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of one status.

    Parameters
    ----------
    description : str
        When it comes.
    content : Mapping[str, Any]
        By media type, the type that describes the JSON, or `Events`; None for text.
    """

    description: str
    content: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The facts about a route that clients must know.

    Parameters
    ----------
    id : str
        Its name in clients that are made from the description; no other operation has it.
    tag : str
        The API that it is a part of.
    summary : str
        What it does, in a few words.
    description : str
        What else must be known.
    parameters : tuple[Parameter, ...]
        Parameters of path, query and headers; all variables of the path are among them.
    body : RequestBody | None
        The request's body; None for none.
    answers : Mapping[int, Answer]
        Answers to requests that succeed, by status.
    refusals : tuple[int, ...]
        Statuses of its errors, beside those of each request that has a key or a body.
    """

    id: str
    tag: str
    summary: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: RequestBody | None = None
    answers: Mapping[int, Answer]
    refusals: tuple[int, ...] = ()
