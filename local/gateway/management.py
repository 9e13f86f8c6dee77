"""`@connections`: the API with which services post to clients."""

import json
from datetime import UTC, datetime
from urllib.parse import unquote

from local.gateway.client import new_id
from local.gateway.config import Limits
from local.gateway.connections import BufferFullError, Connection, Connections, GoneError
from local.gateway.token_bucket import TokenBucket
from local.http.messages import Request, Response

_SIGNATURE, _SCOPE = "AWS4-HMAC-SHA256 ", "/execute-api/aws4_request"


class _ApiError(Exception):
    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type


class ManagementApi:
    """Answers POST, GET and DELETE of `/{stage}/@connections/{id}`.

    A signature for `execute-api` must be present; neither it nor the key is verified, but the
    session token is, before a request comes here (`local.http.access`).
    """

    def __init__(
        self, *, stage: str, connections: Connections, requests: TokenBucket, limits: Limits
    ) -> None:
        self._prefix = f"/{stage}/@connections/"
        self._connections = connections
        self._requests = requests
        self._limits = limits

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        try:
            return self._handle(request)
        except _ApiError as error:
            refusal = error
        except GoneError:
            refusal = _ApiError(410, "GoneException", "Gone")
        except BufferFullError:
            refusal = _ApiError(429, "LimitExceededException", "The client's buffer is full")
        return _error_response(refusal)

    def _handle(self, request: Request) -> Response:
        authorization = request.headers.get("authorization", "")
        if not (authorization.startswith(_SIGNATURE) and _SCOPE in authorization):
            raise _ApiError(403, "ForbiddenException", "Missing Authentication Token")
        path = unquote(request.target.partition("?")[0])
        if not path.startswith(self._prefix):
            raise _ApiError(403, "ForbiddenException", "Forbidden")
        if not self._requests.take():
            raise _ApiError(429, "LimitExceededException", "Too Many Requests")
        connection_id = path[len(self._prefix) :]
        if request.method == "POST":
            return self._post(connection_id, request.body)
        connection = self._connections.get(connection_id)
        if request.method == "GET":
            return _describe(connection)
        if request.method == "DELETE":
            connection.close(1000, "Connection Closed Normally")
            return Response(204, b"", {"x-amzn-RequestId": new_id()})
        raise _ApiError(403, "ForbiddenException", "Forbidden")

    def _post(self, connection_id: str, body: bytes) -> Response:
        if len(body) > self._limits.message_bytes:
            raise _ApiError(413, "PayloadTooLargeException", "Message too long")
        connection = self._connections.get(connection_id)
        try:
            message = body.decode()
        except UnicodeDecodeError:
            raise _ApiError(400, "BadRequestException", "The data is not UTF-8 text") from None
        connection.send(message)
        return Response(200, b"", {"x-amzn-RequestId": new_id()})


def _describe(connection: Connection) -> Response:
    client = connection.client
    body = {
        "connectedAt": _iso(client.connected_at_ms / 1000),
        "identity": {"sourceIp": client.source_ip, "userAgent": client.user_agent},
        "lastActiveAt": _iso(connection.last_active_at),
    }
    return Response(200, json.dumps(body).encode(), _json_headers())


def _iso(timestamp: float) -> str:
    text = datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _error_response(error: _ApiError) -> Response:
    headers = {**_json_headers(), "x-amzn-ErrorType": error.error_type}
    return Response(error.status, json.dumps({"message": str(error)}).encode(), headers)


def _json_headers() -> dict[str, str]:
    return {"Content-Type": "application/json", "x-amzn-RequestId": new_id()}
