"""Failures as HTTP clients see them: a status, and the error object of OpenAI's API."""

from dataclasses import dataclass
from typing import Self

from axon.protocol.errors import error_event
from axon.protocol.objects import Json
from axon.responses.terminator import OVERDUE
from worker.attempt.endings import ENGINE_FAILED, OVERFLOW, OVERLOADED, UNUSABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The reason why an answer is missing or incomplete: an HTTP status and the API's fields."""

    status: int
    type: str
    code: str
    message: str
    param: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Return the failure that the client sees for an exception."""
        if isinstance(error, TimeoutError):
            return cls.of_response(OVERDUE)
        event = error_event(error)
        return cls(status=event["status"], **event["error"])

    @classmethod
    def of_response(cls, error: Json) -> Self:
        """Return the failure that the client sees for a failed response's `error`."""
        code, message = error["code"], error["message"]
        if code in ("invalid_prompt", OVERFLOW):
            return cls(status=400, type="invalid_request_error", code=code, message=message)
        if error.get("type") == OVERLOADED["type"]:
            return cls(status=503, type="server_error", code=OVERLOADED["type"], message=message)
        if error.get("type") == UNUSABLE:
            return cls(status=502, type="server_error", code=UNUSABLE, message=message)
        if message in (OVERDUE["message"], ENGINE_FAILED):
            status = 504 if message == OVERDUE["message"] else 500
            return cls(status=status, type="server_error", code=code, message=message)
        # The engine refused the request, and says why.
        return cls(status=400, type="invalid_request_error", code="invalid_value", message=message)

    def wire(self) -> Json:
        """Return the body of the reply."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }
