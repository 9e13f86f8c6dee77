"""Bodies of requests: models of JSON objects, and their refusals."""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from axon.protocol.refusals import refusal_of


class Body(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


B = TypeVar("B", bound=Body)


def parse(model: type[B], value: dict[str, Any]) -> B:
    """Validate a decoded body.

    Raises
    ------
    RequestError
        A field is missing, wrong or too long; it names the first such field.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise refusal_of(error, remedies={}) from error
