"""Readiness checks: cheap, without client libraries; they return False instead of raising."""

import socket
from collections.abc import Callable
from pathlib import Path

from local.ports import LOOPBACK

TIMEOUT_S = 1.0


def ask(port: int, request: bytes) -> bytes:
    """Return the first bytes of the answer, or none when no answer comes in time."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT_S) as connection:
            connection.sendall(request)
            return connection.recv(64)
    except OSError:
        return b""


def http_ok(port: int, path: str = "/health") -> Callable[[int], bool]:
    """Return a check that passes when `GET path` answers 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n".encode()

    def check(_pid: int) -> bool:
        return ask(port, request).split(b" ")[1:2] == [b"200"]

    return check


def valkey_ok(port: int) -> Callable[[int], bool]:
    """Return a check that passes when PING is answered.

    A server that still loads its data answers it with an error.
    """

    def check(_pid: int) -> bool:
        return ask(port, b"PING\r\n").startswith(b"+PONG")

    return check


def postgres_ok(data_folder: Path) -> Callable[[int], bool]:
    """Return a check of the postmaster's state in its lock file, as `pg_ctl --wait` reads it."""
    status_file = data_folder / "postmaster.pid"

    def check(pid: int) -> bool:
        try:
            lines = status_file.read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    return check
