"""Prepares the log domain: roles of writers and readers, index mapping, retention of logs.

Runs as the domain's master user, within its VPC, when the domain is new and after each change of
this function. It is idempotent.
"""

import http.client
import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

WRITER = "axon_log_writer"
READER = "axon_log_reader"
INDEX = "axon-logs"
POLICY = "axon-logs-retention"
SECURITY = "/_plugins/_security/api"
# The security plugin answers 503 until its own index exists.
ATTEMPTS = 10
PAUSE_S = 5.0

Sign = Callable[[str, str, bytes], Mapping[str, str]]
"""Method, path, body -> headers that authenticate the request."""


class DomainError(Exception):
    """The domain refused a request, or did not answer."""


class Domain:
    """The domain's REST API. `connect` opens a connection, `sign` authenticates a request."""

    def __init__(
        self,
        *,
        connect: Callable[[], http.client.HTTPConnection],
        sign: Sign,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._connect = connect
        self._sign = sign
        self._pause_s = pause_s

    def put(self, path: str, body: Mapping[str, Any]) -> None:
        """Put `body` at `path`.

        Raises
        ------
        DomainError
            The domain refused it, or did not get ready.
        """
        status, reply = self.request("PUT", path, body)
        if status >= 300:
            raise DomainError(f"PUT {path}: {status} {json.dumps(reply)[:500]}")

    def request(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """Send one request; repeat it while the domain is not ready.

        Returns
        -------
        tuple[int, dict[str, Any]]
            HTTP status below 500, and the parsed body.

        Raises
        ------
        DomainError
            No attempt of `ATTEMPTS` got such an answer.
        """
        payload = b"" if body is None else json.dumps(body).encode()
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(self._pause_s)
            try:
                status, reply = self._send(method, path, payload)
            except OSError as error:
                failure = str(error)
                continue
            if status < 500:
                return status, json.loads(reply or b"{}")
            failure = f"{status} {reply[:500]!r}"
        raise DomainError(f"{method} {path}: {failure}")

    def _send(self, method: str, path: str, payload: bytes) -> tuple[int, bytes]:
        connection = self._connect()
        try:
            connection.request(method, path, payload, dict(self._sign(method, path, payload)))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def prepare(
    domain: Domain, *, writer_arn: str, reader_arn: str, retention_days: int, replicas: int
) -> None:
    """Set the permissions of the two roles, the index mapping, and the deletion of old logs."""
    for role, body, arn in (
        (WRITER, _writer(), writer_arn),
        (READER, _reader(), reader_arn),
    ):
        domain.put(f"{SECURITY}/roles/{role}", body)
        domain.put(f"{SECURITY}/rolesmapping/{role}", {"backend_roles": [arn]})
    domain.put(f"/_index_template/{INDEX}", _template(replicas))
    _put_policy(domain, _policy(retention_days))


def _writer() -> dict[str, Any]:
    # The permissions that Firehose documents, on the log indices only.
    return {
        "cluster_permissions": ["cluster_composite_ops", "cluster_monitor"],
        "index_permissions": [_on([f"{INDEX}*"], "create_index", "crud", "manage")],
    }


def _reader() -> dict[str, Any]:
    return {
        "cluster_permissions": ["cluster_composite_ops"],
        "index_permissions": [
            _on([f"{INDEX}*"], "read", "indices_monitor"),
            # OpenSearch Dashboards stores its objects in these.
            _on([".kibana*", ".opensearch_dashboards*"], "read", "index", "delete", "manage"),
        ],
        "tenant_permissions": [
            {"tenant_patterns": ["global_tenant"], "allowed_actions": ["kibana_all_write"]}
        ],
    }


def _on(patterns: list[str], *actions: str) -> dict[str, list[str]]:
    return {"index_patterns": patterns, "allowed_actions": list(actions)}


def _template(replicas: int) -> dict[str, Any]:
    keyword = {"type": "keyword", "ignore_above": 1024}
    return {
        "index_patterns": [f"{INDEX}*"],
        "template": {
            "settings": {"number_of_shards": 1, "number_of_replicas": replicas},
            "mappings": {
                "dynamic": False,
                "properties": {
                    "@timestamp": {"type": "date"},
                    "log_group": keyword,
                    "log_stream": keyword,
                    "message": {"type": "text"},
                    "fields": {"type": "flat_object"},
                },
            },
        },
    }


def _policy(retention_days: int) -> dict[str, Any]:
    return {
        "policy": {
            "description": f"Logs go after {retention_days} days",
            "default_state": "kept",
            "states": [
                {
                    "name": "kept",
                    "actions": [],
                    "transitions": [
                        {
                            "state_name": "deleted",
                            "conditions": {"min_index_age": f"{retention_days}d"},
                        }
                    ],
                },
                {"name": "deleted", "actions": [{"delete": {}}], "transitions": []},
            ],
            "ism_template": [{"index_patterns": [f"{INDEX}*"], "priority": 100}],
        }
    }


def _put_policy(domain: Domain, policy: dict[str, Any]) -> None:
    path = f"/_plugins/_ism/policies/{POLICY}"
    status, found = domain.request("GET", path)
    if status == 200:
        # Optimistic locking: a policy is replaced only by a request that names its version.
        path += f"?if_seq_no={found['_seq_no']}&if_primary_term={found['_primary_term']}"
    domain.put(path, policy)


def handler(event: object, context: object) -> None:  # noqa: ARG001
    """Prepare the domain: Lambda's entry point."""
    host = os.environ["AXON_DOMAIN_HOST"]
    domain = Domain(
        connect=lambda: http.client.HTTPSConnection(host, timeout=20), sign=_signer(host)
    )
    prepare(
        domain,
        writer_arn=os.environ["AXON_WRITER_ARN"],
        reader_arn=os.environ["AXON_READER_ARN"],
        retention_days=int(os.environ["AXON_RETENTION_DAYS"]),
        replicas=int(os.environ["AXON_REPLICAS"]),
    )


def _signer(host: str) -> Sign:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials

    credentials = ReadOnlyCredentials(
        os.environ["AWS_ACCESS_KEY_ID"],
        os.environ["AWS_SECRET_ACCESS_KEY"],
        os.environ["AWS_SESSION_TOKEN"],
    )
    auth = SigV4Auth(credentials, "es", os.environ["AWS_REGION"])

    def sign(method: str, path: str, body: bytes) -> dict[str, str]:
        request = AWSRequest(
            method=method,
            url=f"https://{host}{path}",
            data=body,
            headers={"Content-Type": "application/json"},
        )
        auth.add_auth(request)
        return dict(request.headers)

    return sign
