"""Bounds on what a client costs that does not read what it is sent."""

import asyncio
import socket

STALLED_S = 45.0
"""Seconds for which a client may read nothing while something waits for it; then its connection is
closed."""
BUFFER_BYTES = 64 * 1024
"""Bytes that wait for a client before its response is read on. A reader that does not read costs
this process at most twice as much (before and behind the transport), the follower's cache
(`axon.event_log.merger.CACHE_BYTES`) and one event: 192 KiB and one event."""
SEND_BUFFER_BYTES = 64 * 1024
"""Size of the kernel's buffer for a stream, which Linux doubles. Unbounded, it took 3.9 MB for a
reader that did not read (ADR 26)."""


def bound_buffers(transport: asyncio.Transport) -> None:
    """Limit what this process and the kernel buffer for the client of a long stream."""
    transport.set_write_buffer_limits(high=BUFFER_BYTES)
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
