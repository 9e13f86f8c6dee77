"""RDS's way in: TLS only; members of ``rds_iam`` log in with an IAM token, others as ever."""

import logging
import ssl
import struct
from dataclasses import dataclass

from tests.deploy.emulator import tokens
from tests.deploy.emulator.ministack import rds, responses
from tests.deploy.emulator.plan import ACCOUNT, REGION, Plan
from tests.deploy.emulator.streams import Stream, join

logger = logging.getLogger(__name__)

SSL_REQUEST, GSSAPI_REQUEST = 80877103, 80877104
LOGIN_OK = struct.pack("!cII", b"R", 8, 0)
ASK_PASSWORD = struct.pack("!cII", b"R", 8, 3)


@dataclass(frozen=True, slots=True)
class PostgresDoor:
    """Before the real server, which lets the members of ``rds_iam`` in without a password."""

    plan: Plan
    context: ssl.SSLContext

    async def serve(self, client: Stream) -> None:
        """Accept the client."""
        if not await self._begin_tls(client):
            await client.send(_error("28000", "no pg_hba.conf entry: no encryption"))
            return
        startup = await _sized(client)
        server = await Stream.connect("127.0.0.1", self.plan.postgres_port)
        try:
            await server.send(startup)
            answer = await server.reader.readexactly(len(LOGIN_OK))
            if answer == LOGIN_OK and not await self._has_token(client, startup):
                return
            await client.send(answer)
            await join(client, server)
        finally:
            server.close()

    async def _begin_tls(self, client: Stream) -> bool:
        while (code := struct.unpack("!II", await client.reader.readexactly(8))[1]) != SSL_REQUEST:
            if code != GSSAPI_REQUEST:
                return False
            await client.send(b"N")
        await client.send(b"S")
        await client.writer.start_tls(self.context)
        return True

    async def _has_token(self, client: Stream, startup: bytes) -> bool:
        user = _parameters(startup).get("user", "")
        await client.send(ASK_PASSWORD)
        if await client.reader.readexactly(1) != b"p":
            return False
        password = (await _sized(client))[4:-1].decode()
        try:
            self._check(user, password)
        except tokens.TokenRefusedError as error:
            logger.warning("postgres: refused: %s", error)
            await client.send(_error("28000", f'PAM authentication failed for user "{user}"'))
            return False
        return True

    def _check(self, user: str, token: str) -> None:
        with responses.request_scope(ACCOUNT, REGION):
            (instance,) = rds._instances.values()
        if not instance["IAMDatabaseAuthenticationEnabled"]:
            raise tokens.TokenRefusedError("the instance takes no tokens")
        credential = tokens.check(
            token,
            service="rds-db",
            host=f"{self.plan.data_host}:{instance['Endpoint']['Port']}",
            parameters={"Action": "connect", "DBUser": user},
        )
        resource = f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{instance['DbiResourceId']}/{user}"
        tokens.require(credential, action="rds-db:connect", resources=[resource])


async def _sized(stream: Stream) -> bytes:
    """Read what begins with its own length."""
    size = await stream.reader.readexactly(4)
    return size + await stream.reader.readexactly(struct.unpack("!I", size)[0] - 4)


def _parameters(startup: bytes) -> dict[str, str]:
    texts = [text.decode() for text in startup[8:].split(b"\0")]
    return dict(zip(texts[::2], texts[1::2], strict=False))


def _error(code: str, message: str) -> bytes:
    fields = b"".join(
        kind + text.encode() + b"\0"
        for kind, text in ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", code), (b"M", message))
    )
    return struct.pack("!cI", b"E", len(fields) + 5) + fields + b"\0"
