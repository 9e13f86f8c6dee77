import json

import pytest

from front.function_url import UnexpectedEventError, UrlRequest, answer_prelude
from tests.support.function_url import url_event


def test_url_request_is_that_of_the_event() -> None:
    event = url_event(
        "POST",
        "/v1/responses",
        query="stream=true&after=a%20b",
        headers={"authorization": "Bearer key", "connection": "Upgrade", "content-length": "3"},
        body=b"\xffab",
    )
    request = UrlRequest.parse(event)
    assert (request.method, request.target) == ("POST", "/v1/responses?stream=true&after=a%20b")
    assert request.body == b"\xffab"
    assert request.headers == {
        "host": "abc.lambda-url.eu-central-1.on.aws",
        "x-forwarded-proto": "https",
        "authorization": "Bearer key",
        # Not what the client has sent, but who it is.
        "X-Forwarded-For": "203.0.113.9",
    }


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/v1/models/org%2Flarge", "/v1/models/org%2Flarge"),
        ("/a b\r\nX: 1", "/a%20b%0D%0AX:%201"),
        ("/é?x#y", "/%C3%A9%3Fx%23y"),
    ],
)
def test_url_request_path_is_escaped_once(path: str, target: str) -> None:
    assert UrlRequest.parse(url_event("GET", path)).target == target


@pytest.mark.parametrize("body", [None, "", '{"a": "é"}'])
def test_url_request_body_may_be_text_or_missing(body: str | None) -> None:
    event = url_event("POST", "/") | {"isBase64Encoded": False, "body": body}
    if body is None:
        del event["body"]
    assert UrlRequest.parse(event).body == (body or "").encode()


@pytest.mark.parametrize(
    "change",
    [
        {"requestContext": {}},
        {"rawPath": None},
        {"headers": None},
        {"body": "no base64", "isBase64Encoded": True},
    ],
)
def test_url_request_refuses_events_of_other_sources(change: dict[str, object]) -> None:
    with pytest.raises(UnexpectedEventError):
        UrlRequest.parse(url_event("GET", "/") | change)


def test_answer_prelude_has_the_status_and_the_headers_of_the_answer() -> None:
    headers = [
        ("Content-Type", "text/event-stream"),
        ("Vary", "Origin"),
        ("vary", "Accept"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Content-Length", "12"),
    ]
    prelude = answer_prelude(429, headers)
    assert prelude.endswith(bytes(8))
    assert json.loads(prelude.rstrip(b"\0")) == {
        "statusCode": 429,
        "headers": {"content-type": "text/event-stream", "vary": "Origin, Accept"},
    }
