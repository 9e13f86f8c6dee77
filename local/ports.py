"""Reserves free ports on 127.0.0.1."""

import contextlib
import socket
import sys
from typing import Self

from local.errors import LocalCloudError

LOOPBACK = "127.0.0.1"


class Ports:
    """Chooses free ports and reserves them while it is open.

    A reserved port is bound by a socket that does not listen. On Linux a server can still listen on
    it, because both set SO_REUSEADDR; an outgoing connection or another local cloud cannot take it.
    So a server that died finds its port free when it is restarted. On macOS ports are chosen only.
    """

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reserve(self) -> int:
        """Choose and reserve a free port."""
        holder = socket.socket()
        # First without SO_REUSEADDR: with it, a port that another one reserved could be chosen.
        holder.bind((LOOPBACK, 0))
        port: int = holder.getsockname()[1]
        if sys.platform == "linux":
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._held.enter_context(holder)
        else:
            holder.close()
        return port

    def close(self) -> None:
        """Release all ports."""
        self._held.close()


def require_free(port: int) -> None:
    """Check that a port is free.

    Raises
    ------
    LocalCloudError
        A server listens on it already.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            raise LocalCloudError(f"port {port} is taken; choose another with --port") from error
