"""``python -m tests.deploy.names PORT MODULE``: run a module for which AWS's names lead here.

What Route 53 answers on AWS: ``*.amazonaws.com`` is found on 127.0.0.1, port PORT, and certified
by this test's own authority. Nothing else of the module is touched.
"""

import runpy
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

SUFFIX = ".amazonaws.com"
HERE = "127.0.0.1"


@contextmanager
def lead_here(port: int) -> Iterator[None]:
    """Answer questions for AWS's names during the block, in this process."""
    real = socket.getaddrinfo

    def answer(host: Any, given: Any, *arguments: Any, **options: Any) -> Any:
        if _is_aws(host):
            return real(HERE, port, *arguments, **options)
        return real(host, given, *arguments, **options)

    with patch.object(socket, "getaddrinfo", answer):
        yield


def _is_aws(host: Any) -> bool:
    text = host.decode() if isinstance(host, bytes) else host
    return isinstance(text, str) and text.endswith(SUFFIX)


@contextmanager
def _lead_uvloop_here(port: int) -> Iterator[None]:
    """Do it for connections of uvloop too, which asks the C library."""
    import uvloop

    real = uvloop.Loop.create_connection

    def connect(
        loop: Any, factory: Any, host: Any = None, given: Any = None, **options: Any
    ) -> Any:
        if not _is_aws(host):
            return real(loop, factory, host, given, **options)
        if options.get("ssl"):
            options.setdefault("server_hostname", host)
        return real(loop, factory, HERE, port, **options)

    with patch.object(uvloop.Loop, "create_connection", connect):
        yield


if __name__ == "__main__":
    _, port, module = sys.argv
    sys.argv = [module]
    with lead_here(int(port)), _lead_uvloop_here(int(port)):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
