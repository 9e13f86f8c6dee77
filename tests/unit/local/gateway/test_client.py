import re

from local.gateway.client import Client, HandshakeRequest, new_id


def request(*headers: tuple[str, str], target: str = "/responses") -> HandshakeRequest:
    return HandshakeRequest(target, headers)


def test_id_has_the_form_of_api_gateway() -> None:
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"[\w-]{15}=", each) for each in ids)


def test_handshake_request_splits_path_and_query() -> None:
    found = request(target="/responses?a=1&b=&a=%C3%A4")
    assert found.path == "/responses"
    assert found.query == {"a": ["1", "ä"], "b": [""]}


def test_handshake_request_keeps_headers_as_sent() -> None:
    found = request(("X-One", "1"), ("x-two", "2"), ("X-One", "3"))
    assert found.multi_value_headers == {"X-One": ["1", "3"], "x-two": ["2"]}
    assert (found.header("x-one"), found.header("X-TWO"), found.header("no")) == ("3", "2", "")


def test_client_reads_its_headers() -> None:
    found = Client(request=request(("host", "a:1"), ("USER-AGENT", "b")), source_ip="127.0.0.1")
    assert (found.host, found.user_agent) == ("a:1", "b")
