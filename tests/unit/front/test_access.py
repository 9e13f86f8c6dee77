import pytest

from axon.exceptions import RequestError
from front.access import Access

LOCAL = Access(
    hosts=("127.0.0.1", "localhost", "[::1]", "tunnel.example"),
    origins=("http://localhost:*", "https://app.example"),
)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "127.0.0.1:8000"},
        {"Host": "LOCALHOST"},
        {"Host": "[::1]:8000"},
        {"Host": "tunnel.example"},
        {"Host": "localhost", "Origin": "http://localhost:3000"},
        {"Host": "localhost", "Origin": "http://localhost"},
        {"Host": "localhost", "Origin": "https://app.example"},
        {"Host": "tunnel.example", "Origin": "https://tunnel.example"},
        {"Host": "Tunnel.example:8000", "Origin": "http://tunnel.example:8000"},
    ],
)
def test_access_admits_programs_and_the_pages_of_the_setting(headers: dict[str, str]) -> None:
    LOCAL.check(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:8000"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "[::1]evil"},
        {"Host": "localhost", "Origin": "https://evil.example"},
        {"Host": "localhost", "Origin": "null"},
        {"Host": "tunnel.example", "Origin": "http://tunnel.example:3000"},
        {"Host": "", "Origin": "null"},
        {"Host": "localhost", "Origin": "http://localhost.evil.example:3000"},
        {"Host": "localhost", "Origin": "https://app.example:444"},
        {"Host": "\udcff"},  # how a byte that is no UTF-8 arrives
        {"Host": "localhost", "Origin": "\udcff"},
    ],
)
def test_access_refuses_other_pages(headers: dict[str, str]) -> None:
    with pytest.raises(RequestError) as refused:
        LOCAL.check(headers)
    assert (refused.value.status, refused.value.code) == (403, "forbidden")
    assert refused.value.message.encode().isascii()


def test_access_behind_a_balancer_leaves_pages_to_the_browser() -> None:
    access = Access(origins=("https://app.example",))
    for origin in ("https://app.example", "https://evil.example"):
        access.check({"Host": "any.example", "Origin": origin})
    assert access.allowed_origin({"Origin": "https://app.example"}) == "https://app.example"
    assert access.allowed_origin({"Origin": "https://evil.example"}) is None
    assert access.allowed_origin({}) is None
    assert Access(origins=("*",)).allowed_origin({"Origin": "null"}) == "null"
