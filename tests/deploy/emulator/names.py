"""AWS's own names and its TLS, in front of an emulator that has a port for HTTP only."""

import re

from tests.deploy.emulator.ministack import app, evaluator


def know_apis() -> None:
    """Serve ``<api>.execute-api.<region>.amazonaws.com`` too; ministack knows its own host only."""
    app._EXECUTE_API_RE = re.compile(r"^([a-f0-9]{8})\.execute-api\.[a-z0-9-]+\.amazonaws\.com$")


def count_as_tls() -> None:
    """Make policies that require TLS see it; ministack would deny all requests to its own port."""

    def pin_request_origin(source_ip: str, _secure: bool) -> None:
        evaluator.pin_request_origin(source_ip, secure_transport=True)

    app.pin_request_origin = pin_request_origin
