"""The function that prepares the log domain, against a server that answers as a domain does."""

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from infra.handlers import prepare_domain
from infra.handlers.prepare_domain import INDEX, Domain, DomainError, prepare
from infra.handlers.split_logs import documents

WRITER = "arn:aws:iam::123456789012:role/axon-test-log-writer"
READER = "arn:aws:iam::123456789012:role/axon-test-log-reader"
POLICY = "/_plugins/_ism/policies/axon-logs-retention"


class FakeDomain:
    """Keeps what is put, and demands the version of a policy that is there already."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.versions: dict[str, int] = {}
        self.headers: list[Mapping[str, str]] = []
        self.not_ready = 0
        self.refuses: str | None = None

    def put(self, target: str, body: Any) -> tuple[int, Any]:
        path, _, query = target.partition("?")
        if self.refuses is not None and self.refuses in path:
            return 403, {"error": "no permissions"}
        if path == POLICY and path in self.kept:
            version = self.versions[path]
            if query != f"if_seq_no={version}&if_primary_term=1":
                return 409, {"error": "version_conflict"}
        self.kept[path] = body
        self.versions[path] = self.versions.get(path, 0) + 1
        return 200, {"acknowledged": True}

    def get(self, path: str) -> tuple[int, Any]:
        if path not in self.kept:
            return 404, {"error": "not found"}
        return 200, {"_seq_no": self.versions[path], "_primary_term": 1} | self.kept[path]


@pytest.fixture
def fake() -> FakeDomain:
    return FakeDomain()


@pytest.fixture
def domain(fake: FakeDomain) -> Iterator[Domain]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, body: Any) -> None:
            payload = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def handle_one(self) -> None:
            fake.headers.append(dict(self.headers))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if fake.not_ready:
                fake.not_ready -= 1
                self.answer(503, "OpenSearch Security not initialized.")
            elif self.command == "PUT":
                self.answer(*fake.put(self.path, json.loads(body)))
            else:
                self.answer(*fake.get(self.path))

        do_GET = do_PUT = handle_one  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        port = server.server_port
        yield Domain(
            connect=lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=5),
            sign=lambda method, path, body: {"Authorization": f"{method} {path} {len(body)}"},
            pause_s=0,
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(domain: Domain, *, retention_days: int = 7, replicas: int = 1) -> None:
    prepare(
        domain,
        writer_arn=WRITER,
        reader_arn=READER,
        retention_days=retention_days,
        replicas=replicas,
    )


def test_prepare_domain_lets_firehose_write_log_indices_only(
    domain: Domain, fake: FakeDomain
) -> None:
    run(domain)
    role = fake.kept["/_plugins/_security/api/roles/axon_log_writer"]
    (indices,) = role["index_permissions"]
    assert indices["index_patterns"] == ["axon-logs*"]
    assert indices["allowed_actions"] == ["create_index", "crud", "manage"]
    mapping = fake.kept["/_plugins/_security/api/rolesmapping/axon_log_writer"]
    assert mapping == {"backend_roles": [WRITER]}


def test_prepare_domain_lets_people_read_logs_and_not_write_them(
    domain: Domain, fake: FakeDomain
) -> None:
    run(domain)
    role = fake.kept["/_plugins/_security/api/roles/axon_log_reader"]
    logs = [p for p in role["index_permissions"] if p["index_patterns"] == ["axon-logs*"]]
    assert [permission["allowed_actions"] for permission in logs] == [["read", "indices_monitor"]]
    mapping = fake.kept["/_plugins/_security/api/rolesmapping/axon_log_reader"]
    assert mapping == {"backend_roles": [READER]}


def test_prepare_domain_gives_every_document_field_a_type(domain: Domain, fake: FakeDomain) -> None:
    run(domain, replicas=0)
    template = fake.kept[f"/_index_template/{INDEX}"]
    assert template["index_patterns"] == [f"{INDEX}*"]
    assert template["template"]["settings"]["number_of_replicas"] == 0
    (document,) = documents(
        {
            "logGroup": "g",
            "logStream": "s",
            "logEvents": [{"timestamp": 0, "message": "m"}],
        }
    )
    mappings = template["template"]["mappings"]
    assert mappings["dynamic"] is False
    assert set(mappings["properties"]) == set(document)


def test_prepare_domain_has_old_logs_deleted(domain: Domain, fake: FakeDomain) -> None:
    run(domain, retention_days=30)
    policy = fake.kept[POLICY]["policy"]
    first, last = policy["states"]
    assert policy["default_state"] == first["name"]
    (transition,) = first["transitions"]
    assert transition["state_name"] == last["name"]
    assert transition["conditions"] == {"min_index_age": "30d"}
    assert last["actions"] == [{"delete": {}}]
    (indices,) = policy["ism_template"]
    assert indices["index_patterns"] == [f"{INDEX}*"]


def test_prepare_domain_can_run_again_with_other_settings(domain: Domain, fake: FakeDomain) -> None:
    run(domain, retention_days=7)
    run(domain, retention_days=14)
    transition = fake.kept[POLICY]["policy"]["states"][0]["transitions"][0]
    assert transition["conditions"] == {"min_index_age": "14d"}


def test_prepare_domain_signs_every_request_with_its_body(domain: Domain, fake: FakeDomain) -> None:
    run(domain)
    assert fake.headers
    assert all(
        headers["Authorization"].split()[2] == headers.get("Content-Length", "0")
        for headers in fake.headers
    )


def test_prepare_domain_retries_while_the_domain_is_not_ready(
    domain: Domain, fake: FakeDomain
) -> None:
    fake.not_ready = 3
    run(domain)
    assert POLICY in fake.kept


def test_prepare_domain_fails_when_the_domain_never_gets_ready(
    domain: Domain, fake: FakeDomain
) -> None:
    fake.not_ready = prepare_domain.ATTEMPTS
    with pytest.raises(DomainError, match=r"503.*not initialized"):
        run(domain)


def test_prepare_domain_fails_at_once_when_refused(domain: Domain, fake: FakeDomain) -> None:
    fake.refuses = "rolesmapping"
    with pytest.raises(DomainError, match=r"403.*no permissions"):
        run(domain)


def test_prepare_domain_fails_when_the_domain_does_not_exist() -> None:
    def refuse() -> http.client.HTTPConnection:
        raise ConnectionRefusedError("connection refused")

    domain = Domain(connect=refuse, sign=lambda *_: {}, pause_s=0)
    with pytest.raises(DomainError, match="connection refused"):
        run(domain)


def test_prepare_domain_requests_carry_the_credentials_of_the_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    sign = prepare_domain._signer("logs.example.com")
    headers = sign("PUT", "/_index_template/axon-logs?a=b", b"{}")
    assert "/eu-west-1/es/aws4_request" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "token"
    assert headers["Content-Type"] == "application/json"
    assert sign("PUT", "/other", b"{}")["Authorization"] != headers["Authorization"]
