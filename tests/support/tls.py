"""A certificate authority of a test's own, and TLS in front of the real servers."""

import asyncio
import ipaddress
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.stream_server import stream_server

LOCALHOST = "localhost"
_SSL_REQUEST = 80877103


@dataclass(frozen=True, kw_only=True)
class Authority:
    """`certificate` is the file that trusts it.

    `context` is a server called `hosts` (names or addresses), with the files `chain` and `key`.
    """

    certificate: Path
    chain: Path
    key: Path
    context: ssl.SSLContext

    @classmethod
    def create(cls, folder: Path, *, hosts: tuple[str, ...] = (LOCALHOST,)) -> "Authority":
        authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        issuer = _name("tests")
        root = (
            _builder(issuer=issuer, subject=issuer, key=authority)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(authority, hashes.SHA256())
        )
        leaf = (
            _builder(issuer=issuer, subject=_name(LOCALHOST), key=server)
            .add_extension(
                x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False
            )
            .sign(authority, hashes.SHA256())
        )
        files = {name: folder / name for name in ("authority.pem", "server.pem", "server.key")}
        files["authority.pem"].write_bytes(root.public_bytes(serialization.Encoding.PEM))
        files["server.pem"].write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        files["server.key"].write_bytes(
            server.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files["server.pem"], files["server.key"])
        return cls(
            certificate=files["authority.pem"],
            chain=files["server.pem"],
            key=files["server.key"],
            context=context,
        )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    *, issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
    )


@asynccontextmanager
async def terminator(
    port: int, *, authority: Authority, postgres: bool = False
) -> AsyncIterator[int]:
    """Serve TLS before a plain server; yields the port. `postgres`: a client asks for TLS first."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if postgres:
                await _accept_tls(reader, writer, authority.context)
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await asyncio.gather(_pipe(reader, inner_writer), _pipe(inner_reader, writer))
            finally:
                inner_writer.close()

    async with stream_server(serve, context=None if postgres else authority.context) as own:
        yield own


async def _accept_tls(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext
) -> None:
    while struct.unpack("!II", await reader.readexactly(8))[1] != _SSL_REQUEST:
        writer.write(b"N")  # encryption by GSSAPI
    writer.write(b"S")
    await writer.drain()
    await writer.start_tls(context)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
