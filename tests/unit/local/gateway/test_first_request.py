import pytest

from local.gateway.first_request import is_for_library
from local.http.messages import MAX_HEAD_BYTES


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (b"", None),
        (b"GE", None),
        (b"GET /v1/responses HTTP/1.1\r\nUpgrade: websocket\r\n", None),
        (b"GET /v1/responses HTTP/1.1\r\nupgrade: WebSocket\r\n\r\n", True),
        (b"GET /v1/responses HTTP/1.1\r\nUpgrade: h2c, websocket\r\n\r\n", True),
        (b"GET /health HTTP/1.1\r\n\r\n", True),
        (b"GET /healthz HTTP/1.1\r\n\r\n", False),
        (b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nX-Upgrade: websocket\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\n\r\nUpgrade: websocket\r\n\r\n", False),
        (b"GET \r\n\r\n", False),
        (b"P", False),
        (b"POST /v1/responses HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD_BYTES, False),
    ],
)
def test_first_request_is_for_the_library_if_it_opens_a_websocket(
    received: bytes, expected: bool | None
) -> None:
    assert is_for_library(received) is expected
