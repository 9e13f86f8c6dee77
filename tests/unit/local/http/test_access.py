import pytest

from local.http.access import (
    is_clients_host,
    is_local_page,
    is_same,
    names_this_machine,
    new_secret,
)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8000", True),
        ("localhost:8000", True),
        ("LOCALHOST", True),
        ("[::1]:8000", True),
        ("[::1]", True),
        ("", True),
        ("evil.example", False),
        ("evil.example:8000", False),
        ("127.0.0.1.evil.example:8000", False),
        ("localhost.evil.example", False),
        ("evil.example:127.0.0.1", False),
        ("127.0.0.1:8000@evil.example", False),
        ("evil@127.0.0.1:8000", False),
        (":8000", False),
        ("0.0.0.0:8000", False),
    ],
)
def test_host_names_this_machine_only_as_no_dns_server_can(host: str, local: bool) -> None:
    assert names_this_machine(host) is local
    assert is_clients_host(host, allowed=["mine.tunnel.example"]) is local


@pytest.mark.parametrize(
    ("host", "clients"),
    [
        ("host.docker.internal:8000", True),
        ("HOST.docker.internal", True),
        ("mine.tunnel.example", True),
        ("Mine.tunnel.example:443", True),
        ("evil.host.docker.internal", False),
        ("host.docker.internal.evil.example:8000", False),
        ("evil@host.docker.internal", False),
        ("other.tunnel.example", False),
    ],
)
def test_host_of_the_clients_port_may_be_one_that_no_page_can_have(
    host: str, clients: bool
) -> None:
    assert is_clients_host(host, allowed=["mine.tunnel.example"]) is clients
    assert not names_this_machine(host)


@pytest.mark.parametrize(
    ("origin", "local"),
    [
        ("", True),
        ("http://localhost:3000", True),
        ("https://127.0.0.1", True),
        ("http://[::1]:3000", True),
        ("null", False),
        ("file://", False),
        ("http://", False),
        ("https://evil.example", False),
        ("http://localhost.evil.example:3000", False),
        ("http://localhost@evil.example", False),
        ("chrome-extension://localhost", False),
        ("http://[", False),
    ],
)
def test_origin_is_local_for_pages_that_this_machine_serves(origin: str, local: bool) -> None:
    assert is_local_page(origin) is local


def test_secret_is_long_and_new_each_time() -> None:
    made = {new_secret() for _ in range(10)}
    assert len(made) == 10
    assert all(len(secret) >= 32 and secret.isalnum() for secret in made)
    assert is_same("a\xe9", "a\xe9")
    assert not is_same("a\xe9", "a")
