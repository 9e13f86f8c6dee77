"""Free ports on 127.0.0.1 that stay free for whoever they were chosen for."""

import contextlib
import socket
import sys
from typing import Self

from local.errors import LocalCloudError

LOOPBACK = "127.0.0.1"


class Ports:
    """Chooses ports and holds them while it is open.

    Linux lets a server listen on a port that somebody else only holds with SO_REUSEADDR. So a
    server that dies finds its port free when it comes back: no outgoing connection and no other
    local cloud took it in between. Elsewhere ports are merely chosen.
    """

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reserve(self) -> int:
        """Return a free port."""
        holder = socket.socket()
        # Bound without SO_REUSEADDR, so that a port held by somebody else is not chosen.
        holder.bind((LOOPBACK, 0))
        port: int = holder.getsockname()[1]
        if sys.platform == "linux":
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._held.enter_context(holder)
        else:
            holder.close()
        return port

    def close(self) -> None:
        """Give all of them up."""
        self._held.close()


def require_free(port: int) -> None:
    """Raise LocalCloudError when something listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            raise LocalCloudError(f"port {port} is taken; choose another with --port") from error
