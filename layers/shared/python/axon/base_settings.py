"""The base of every process's settings, and how they are read from the environment."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from axon.exceptions import SettingsError

PREFIX = "AXON_"


class Settings(BaseModel):
    """Base: each field is the variable ``AXON_<FIELD>``; unset and empty mean the default."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    aws_region: str = "us-east-1"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read and validate.

        Raises
        ------
        SettingsError
            One line that names every wrong variable.
        """
        values = {
            name: environ[PREFIX + name.upper()]
            for name in cls.model_fields
            if environ.get(PREFIX + name.upper())
        }
        values.setdefault("aws_region", environ.get("AWS_REGION") or "us-east-1")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            wrong = (f"{_variable(*e['loc'])}: {e['msg']}" for e in error.errors())
            raise SettingsError("; ".join(wrong)) from error


def _variable(field: int | str, *within: int | str) -> str:
    return ".".join([f"{PREFIX}{field}".upper(), *map(str, within)])
