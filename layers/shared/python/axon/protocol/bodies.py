"""Bodies of requests: models of JSON objects, and their refusals."""

from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from axon.exceptions import RequestError
from axon.protocol.refusals import refusal_of


class Body(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)

    HINTS: ClassVar[frozenset[str]] = frozenset()
    """Further fields that are taken and change nothing."""


B = TypeVar("B", bound=Body)


def parse(model: type[B], value: dict[str, Any]) -> B:
    """Validate a decoded body.

    Raises
    ------
    RequestError
        A field is unknown, missing, wrong or too long; it names the first such field.
    """
    known = model.model_fields.keys()
    for name, given in value.items():
        # Ignored, a misspelled field would make something else than its client wants.
        if name not in known and name not in model.HINTS and given is not None:
            raise RequestError(
                f"Unknown parameter: '{name[:64]}'. Leave it out; known here: {', '.join(known)}.",
                code="unknown_parameter",
                param=name[:64],
            )
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise refusal_of(error, remedies={}) from error
