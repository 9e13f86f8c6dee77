"""The container's health check: ``python -m axon.adapters.observability.probe PORT``.

Exits with 0 or 1.

It asks for liveness, not readiness: ECS replaces a task whose check fails. It runs every few
seconds, so it imports next to nothing.
"""

import socket
import sys

TIMEOUT_S = 3.0


def alive(port: int) -> bool:
    """Return whether /live on this port of the loopback interface answers 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
            connection.sendall(b"GET /live HTTP/1.0\r\n\r\n")
            with connection.makefile("rb") as answer:
                return answer.readline().split()[1:2] == [b"200"]
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(not alive(int(sys.argv[1])))
