import base64
import hashlib
import re

import pytest

from benchmarks.websocket import (
    Frame,
    FrameParser,
    Handshake,
    Opcode,
    WebSocketError,
    frame,
)


def server_frame(payload: bytes, *, first: int = 0x81) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def unmask(data: bytes) -> tuple[int, bytes]:
    size, start = data[1] & 0x7F, 2
    if size >= 126:
        width = 2 if size == 126 else 8
        size, start = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
    mask, body = data[start : start + 4], data[start + 4 :]
    assert len(body) == size
    return data[0], bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frame_is_masked_and_sized(size: int) -> None:
    payload = bytes(i % 251 for i in range(size))
    data = frame(Opcode.TEXT, payload)
    assert data[1] & 0x80
    assert unmask(data) == (0x81, payload)


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("size", [0, 125, 126, 70_000])
def test_frame_parser_reads_frames_in_any_pieces(size: int, cut: int) -> None:
    payload = b"x" * size
    data = server_frame(payload) + server_frame(b"ping", first=0x89)
    parser, found = FrameParser(), list[Frame]()
    step = max(cut, size // 50)
    for start in range(0, len(data), step):
        found += parser.feed(data[start : start + step])
    assert found == [Frame(Opcode.TEXT, True, payload), Frame(Opcode.PING, True, b"ping")]


def test_frame_parser_joins_fragments() -> None:
    parser = FrameParser()
    parts = [Frame(Opcode.TEXT, False, b"a"), Frame(Opcode.CONTINUATION, False, b"b")]
    assert [parser.joined(part) for part in parts] == [None, None]
    assert parser.joined(Frame(Opcode.CONTINUATION, True, b"c")) == b"abc"
    assert parser.joined(Frame(Opcode.TEXT, True, b"whole")) == b"whole"


def test_frame_parser_refuses_binary_messages() -> None:
    with pytest.raises(WebSocketError, match="binary"):
        FrameParser().joined(Frame(Opcode.BINARY, True, b""))


def test_handshake_sends_the_key_and_checks_the_answer() -> None:
    handshake = Handshake(host="h:1", path="/v1/responses", api_key="sk-test")
    assert handshake.request.startswith(b"GET /v1/responses HTTP/1.1\r\nHost: h:1\r\n")
    assert b"Authorization: Bearer sk-test\r\n" in handshake.request
    found = re.search(rb"Sec-WebSocket-Key: (\S+)", handshake.request)
    assert found is not None
    digest = hashlib.sha1(found[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    accept = base64.b64encode(digest)
    handshake.check(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept)
    with pytest.raises(WebSocketError, match="wrong"):
        handshake.check(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: no")
    with pytest.raises(WebSocketError, match="401"):
        handshake.check(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0")
