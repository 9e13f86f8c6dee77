"""The events that API Gateway sends to authorizers and Lambda proxy integrations."""

import time
from typing import Any

from local.gateway.client import Client, new_id, now_ms
from local.gateway.config import CONNECT, DISCONNECT, GatewayConfig

Event = dict[str, Any]

# The integration of $connect does not see the headers of the upgrade itself.
_HOP_BY_HOP = {"connection", "upgrade"}


class EventFactory:
    """Builds events for one API."""

    def __init__(self, *, config: GatewayConfig) -> None:
        self._config = config

    def authorizer(self, client: Client) -> Event:
        """Return the REQUEST authorizer's event."""
        query = client.request.query
        headers = client.request.multi_value_headers
        return {
            "type": "REQUEST",
            "methodArn": self._config.method_arn,
            "headers": _last(headers),
            "multiValueHeaders": headers,
            "queryStringParameters": _last(query),
            "multiValueQueryStringParameters": query,
            "stageVariables": {},
            "requestContext": self._context(client, CONNECT, "CONNECT", new_id()),
        }

    def connect(self, client: Client) -> Event:
        """Return the event of `$connect`."""
        query = client.request.query
        headers = {
            name: values
            for name, values in client.request.multi_value_headers.items()
            if name.lower() not in _HOP_BY_HOP
        }
        event: Event = {"headers": _last(headers), "multiValueHeaders": headers}
        if query:
            event["queryStringParameters"] = _last(query)
            event["multiValueQueryStringParameters"] = query
        context = self._context(client, CONNECT, "CONNECT", new_id())
        return {**event, "requestContext": context, "isBase64Encoded": False}

    def message(self, client: Client, *, route_key: str, request_id: str, body: str) -> Event:
        """Return the event of one message."""
        context = self._context(client, route_key, "MESSAGE", request_id)
        context["messageId"] = new_id()
        return {"requestContext": context, "body": body, "isBase64Encoded": False}

    def disconnect(self, client: Client, *, code: int, reason: str) -> Event:
        """Return the event of `$disconnect`, with the close frame's code and reason."""
        context = self._context(client, DISCONNECT, "DISCONNECT", new_id())
        context |= {"disconnectStatusCode": code, "disconnectReason": reason}
        headers = {"Host": client.host}
        headers |= dict.fromkeys(("x-api-key", "X-Forwarded-For", "x-restapi"), "")
        return {
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "requestContext": context,
            "isBase64Encoded": False,
        }

    def _context(self, client: Client, route_key: str, event_type: str, request_id: str) -> Event:
        identity = {"sourceIp": client.source_ip}
        if client.user_agent:
            identity["userAgent"] = client.user_agent
        context: Event = {
            "routeKey": route_key,
            "eventType": event_type,
            "extendedRequestId": request_id,
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime()),
            "messageDirection": "IN",
            "stage": self._config.stage,
            "connectedAt": client.connected_at_ms,
            "requestTimeEpoch": now_ms(),
            "identity": identity,
            "requestId": request_id,
            "domainName": client.host,
            "connectionId": client.id,
            "apiId": self._config.api_id,
        }
        if client.authorizer is not None:
            context["authorizer"] = dict(client.authorizer)
        return context


def _last(values: dict[str, list[str]]) -> dict[str, str]:
    return {name: items[-1] for name, items in values.items()}
