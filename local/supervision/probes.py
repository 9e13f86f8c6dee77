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


def http_ok(port: int, path: str = "/health", *, token: str | None = None) -> Callable[[int], bool]:
    """Return a check that passes when `GET path`, with the token if any, answers 200."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {LOOPBACK}:{port}", "Connection: close"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    request = "\r\n".join((*lines, "", "")).encode()

    def check(_pid: int) -> bool:
        return ask(port, request).split(b" ")[1:2] == [b"200"]

    return check


def valkey_ok(port: int, *, password: str = "") -> Callable[[int], bool]:
    """Return a check that passes when PING is answered.

    A server that still loads its data answers it with an error.
    """
    login, accepted = (f"AUTH {password}\r\n", "+OK\r\n") if password else ("", "")
    request, answer = f"{login}PING\r\n".encode(), f"{accepted}+PONG".encode()

    def check(_pid: int) -> bool:
        return ask(port, request).startswith(answer)

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
