"""The client's side of RFC 6455, without I/O: text messages, pings and closes."""

import base64
import hashlib
import os
from dataclasses import dataclass
from enum import IntEnum

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Opcode(IntEnum):
    """Kinds of frames (RFC 6455, section 11.8)."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class WebSocketError(Exception):
    """The peer refused the handshake, closed, or sent a binary message."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the server; `final` is false if the next frame continues its message."""

    opcode: Opcode
    final: bool
    payload: bytes


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """Return one masked client frame."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    mask = os.urandom(4)
    pad = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + mask + masked.to_bytes(size, "big")


class Handshake:
    """The opening request, and the check of the response."""

    def __init__(self, *, host: str, path: str, api_key: str) -> None:
        key = base64.b64encode(os.urandom(16))
        self._accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        self.request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nAuthorization: Bearer {api_key}\r\n"
            f"Sec-WebSocket-Key: {key.decode()}\r\n\r\n"
        ).encode()

    def check(self, head: bytes) -> None:
        """Check the head of the response, up to the blank line.

        Raises
        ------
        WebSocketError
            The server refused the handshake.
        """
        status, *lines = head.split(b"\r\n")
        fields = {k.lower(): v.strip() for k, _, v in (line.partition(b":") for line in lines)}
        if b" 101 " not in status + b" ":
            raise WebSocketError(f"handshake refused: {status.decode(errors='replace')}")
        if fields.get(b"sec-websocket-accept") != self._accept:
            raise WebSocketError("handshake answered with a wrong Sec-WebSocket-Accept")


class FrameParser:
    """Parses the server's bytes into frames; `joined` joins the fragments of messages."""

    def __init__(self) -> None:
        self._buffer = b""
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that these bytes complete."""
        buffer, position, frames = self._buffer + data, 0, []
        while (parsed := _frame_at(buffer, position)) is not None:
            one, position = parsed
            frames.append(one)
        self._buffer = buffer[position:]
        return frames

    def joined(self, one: Frame) -> bytes | None:
        """Return the message that a data frame completes, or None.

        Raises
        ------
        WebSocketError
            The message is binary.
        """
        if one.opcode is Opcode.BINARY:
            raise WebSocketError("a binary message")
        if one.final and not self._parts:
            return one.payload
        self._parts.append(one.payload)
        if not one.final:
            return None
        message = b"".join(self._parts)
        self._parts.clear()
        return message


def _frame_at(buffer: bytes, position: int) -> tuple[Frame, int] | None:
    if len(buffer) < position + 2:
        return None
    first, size = buffer[position], buffer[position + 1] & 0x7F
    start = position + 2
    if size >= 126:
        width = 2 if size == 126 else 8
        if len(buffer) < start + width:
            return None
        size = int.from_bytes(buffer[start : start + width], "big")
        start += width
    if len(buffer) < start + size:
        return None
    payload = buffer[start : start + size]
    return Frame(Opcode(first & 0x0F), bool(first & 0x80), payload), start + size
