import asyncio
import socket
import sys

import pytest

from local.errors import LocalCloudError
from local.ports import LOOPBACK, Ports, require_free


def test_ports_are_different() -> None:
    with Ports() as one, Ports() as other:
        ports = [one.reserve(), one.reserve(), other.reserve(), other.reserve()]
    assert len(set(ports)) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere ports are not held")
def test_reserved_port_is_not_given_to_another() -> None:
    with Ports() as ports, socket.socket() as other:
        port = ports.reserve()
        with pytest.raises(OSError, match="in use"):
            other.bind((LOOPBACK, port))


async def test_reserved_port_accepts_its_server_again_and_again() -> None:
    with Ports() as ports:
        port = ports.reserve()
        for _ in range(2):
            server = await asyncio.start_server(
                lambda _reader, writer: writer.close(), LOOPBACK, port
            )
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
            server.close()
            await server.wait_closed()


def test_require_free_refuses_a_port_in_use() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(LocalCloudError, match=f"port {port} is taken; choose another"):
            require_free(port)
    require_free(port)
