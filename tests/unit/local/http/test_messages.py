from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.http.messages import (
    MalformedMessageError,
    Request,
    RequestParser,
    Response,
    ResponseParser,
)

POST = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-One:  two \r\nContent-Length: 3\r\n\r\nabc"
GET = b"GET / HTTP/1.1\r\n\r\n"


def requests(*pieces: bytes) -> list[Request]:
    parser, found = RequestParser(), []
    for piece in pieces:
        parser.feed(piece)
        while request := parser.next_request():
            found.append(request)
    return found


def test_request_is_parsed() -> None:
    headers = {"host": "x", "x-one": "two", "content-length": "3"}
    assert requests(POST) == [Request("POST", "/a?b=c", headers, b"abc", keep_alive=True)]


@given(st.lists(st.integers(1, len(POST * 2 + GET)), max_size=8))
def test_request_may_arrive_in_any_pieces(cuts: list[int]) -> None:
    stream = POST + GET + POST
    edges = [0, *sorted(cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert requests(*pieces) == requests(POST) + requests(GET) + requests(POST)


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
    ],
)
def test_request_says_whether_the_connection_is_kept(head: bytes, keep_alive: bool) -> None:
    [request] = requests(head)
    assert request.keep_alive is keep_alive


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"x" * 70_000, 431),
    ],
)
def test_request_that_is_malformed_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        requests(head)
    assert caught.value.status == status


def test_response_is_parsed_as_it_was_serialized() -> None:
    parser = ResponseParser()
    parser.feed(Response(404, b"gone", {"X-One": "two"}).serialize())
    headers = {"x-one": "two", "content-length": "4"}
    assert parser.next_response() == Response(404, b"gone", headers)
    assert parser.next_response() is None


def test_response_with_a_malformed_status_is_refused() -> None:
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 abc OK\r\n\r\n")
    with pytest.raises(MalformedMessageError):
        parser.next_response()
