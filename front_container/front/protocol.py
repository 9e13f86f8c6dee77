"""HttpProtocol: aiohttp's side of a connection, with errors of HTTP itself in the APIs' shape."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError, LineTooLong
from aiohttp.web_protocol import RequestHandler, _ErrInfo
from aiohttp.web_request import BaseRequest
from typing_extensions import override

from axon.exceptions import AxonError, RequestError
from front.bodies import unsupported_encoding
from front.requests import request_id_of
from front.routing import refusal

_Handler = Callable[[BaseRequest], Awaitable[web.StreamResponse]]


class HttpProtocol(RequestHandler):
    """One connection.

    What is no request at all, aiohttp answers itself, before any handler or middleware: with plain
    text, which quotes it, and the versions of Python and aiohttp.
    """

    __slots__ = ()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # A chunk that is none ends the parser. aiohttp queues that as the next request, while the
        # handler of this one would wait for the rest of its body until its time is over.
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            request = self._current_request
            if request is not None and not request.content.is_eof():
                request.content.set_exception(web.RequestPayloadError("malformed chunk"))

    @override
    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        # It logs, and raises if an answer has begun.
        super().handle_error(request, status, exc, message)
        malformed = status < HTTPStatus.INTERNAL_SERVER_ERROR
        error = _refusal(exc) if malformed else exc if isinstance(exc, Exception) else AxonError()
        answer = refusal(cast("web.Request", request), error)
        name_answer(cast("web.Request", request), answer)
        answer.force_close()  # where the next request begins is unknown
        return answer


class Server(web.Server):
    """Makes the protocols of connections."""

    @override
    def __call__(self) -> HttpProtocol:
        return HttpProtocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application with these protocols."""

    __slots__ = ()

    @override
    async def _make_server(self) -> Server:
        made = await super()._make_server()
        return Server(
            _shaped(made.request_handler), request_factory=made.request_factory, **self._kwargs
        )


def name_answer(request: web.Request, answer: web.StreamResponse) -> None:
    """Add the headers by which every answer is known: the request's id, and the server's name."""
    # By OpenAI's name and by Anthropic's.
    answer.headers["x-request-id"] = answer.headers["request-id"] = request_id_of(request)
    answer.headers["Server"] = "axon"  # in place of the versions of Python and aiohttp


def _shaped(handler: _Handler) -> _Handler:
    """Return a handler that answers in the APIs' shape to what aiohttp refuses before a route."""

    async def handle(request: BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPExpectationFailed:
            unknown = RequestError(
                "The header Expect has another value than '100-continue'. Leave it out.",
                code="expectation_failed",
                status=417,
            )
            return refusal(cast("web.Request", request), unknown)

    return handle


def _refusal(error: BaseException | None) -> RequestError:
    """Return the refusal of bytes that are no request; its message quotes none of them."""
    match error:
        case ContentEncodingError():
            return unsupported_encoding()
        case LineTooLong():
            return RequestError(
                "The URL or a header is longer than 8,190 bytes. Shorten it; long texts belong "
                "into the body.",
                code="request_headers_too_large",
                status=431,
            )
    return RequestError(
        "This is no valid request of HTTP/1.1. Send it with an HTTP library.", code="invalid_http"
    )
