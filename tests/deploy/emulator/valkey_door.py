"""ElastiCache's way in: a first command that logs in, by an IAM token for a password."""

import logging
from dataclasses import dataclass

from tests.deploy.emulator import tokens
from tests.deploy.emulator.ministack import elasticache, responses
from tests.deploy.emulator.plan import ACCOUNT, REGION
from tests.deploy.emulator.streams import Stream, join

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ValkeyDoor:
    """Before the real server on `port`."""

    port: int

    async def serve(self, client: Stream) -> None:
        """Accept the client when its first command is a valid login."""
        words, sent = await _read_command(client)
        try:
            user, token = _login(words)
            _check(user, token)
        except tokens.TokenRefusedError as error:
            logger.warning("valkey: refused: %s", error)
            await client.send(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
            return
        server = await Stream.connect("127.0.0.1", self.port)
        await server.send(sent)
        await join(client, server)


async def _read_command(client: Stream) -> tuple[list[str], bytes]:
    """Return the words of a RESP array, and the bytes that they came in."""
    sent = await client.reader.readline()
    words = []
    for _ in range(int(sent[1:])):
        size = await client.reader.readline()
        word = await client.reader.readexactly(int(size[1:]) + 2)
        words.append(word[:-2].decode())
        sent += size + word
    return words, sent


def _login(words: list[str]) -> tuple[str, str]:
    """Find user and password in ``HELLO 3 AUTH user password`` or ``AUTH user password``."""
    for position, word in enumerate(words):
        if word.upper() == "AUTH" and len(words) >= position + 3:
            return words[position + 1], words[position + 2]
    raise tokens.TokenRefusedError(f"no login: {words[0]}")


def _check(user: str, token: str) -> None:
    cache = token.partition("/")[0]
    with responses.request_scope(ACCOUNT, REGION):
        if user not in _users_of(cache):
            raise tokens.TokenRefusedError(f"{user} is no user of {cache}")
        arns = (elasticache._arn_replication_group(cache), elasticache._arn_user(user))
    credential = tokens.check(
        token,
        service="elasticache",
        host=cache,
        # The API's own token has "connect", which AWS takes in any case.
        parameters={"User": user},
    )
    tokens.require(credential, action="elasticache:Connect", resources=arns)


def _users_of(cache: str) -> set[str]:
    group = elasticache._replication_groups.get(cache)
    ids = group["UserGroupIds"] if group else ()
    return {user for each in ids for user in elasticache._user_groups[each]["UserIds"]}
