"""Users of ElastiCache with IAM, and TLS; the server is a Valkey whose ACL plays ElastiCache."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from botocore.credentials import ReadOnlyCredentials

from axon.adapters.aws.iam_tokens import valkey_token
from axon.adapters.valkey import login as valkey_login
from axon.adapters.valkey.client import Valkey, create_valkey
from axon.adapters.valkey.login import IamLogin
from axon.exceptions import SettingsError, UnavailableError
from axon.settings import ValkeySettings
from local.services.valkey import Valkey as ValkeyServer
from tests.support.clients import valkey_client
from tests.support.tls import Authority, terminator

USER, CACHE, REGION = "axon-test", "axon-test", "eu-central-1"
NOW = 1_795_252_220.0


class Keys:
    """Credentials that change with each use."""

    def __init__(self) -> None:
        self.asked = 0

    def current(self) -> ReadOnlyCredentials:
        self.asked += 1
        return ReadOnlyCredentials(f"key-{self.asked}", "secret", "token")


@pytest.fixture
def admin(valkey_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(valkey_url) as client:
        yield client
        client.acl_deluser(USER)


@asynccontextmanager
async def logged_in(url: str, keys: Keys) -> AsyncIterator[Valkey]:
    login = IamLogin(user=USER, cache=CACHE, region=REGION, credentials=keys.current)
    client = Valkey(url, login=login)
    try:
        yield client
    finally:
        await client.close()


def let_in(admin: "redis.Redis", *, password: str = "") -> None:
    admin.acl_setuser(
        USER,
        enabled=True,
        nopass=not password,
        passwords=[f"+{password}"] if password else None,
        commands=["+@all"],
        keys=["*"],
    )


def hang_up(admin: "redis.Redis") -> None:
    admin.client_kill_filter(user=USER)


async def test_valkey_login_uses_a_token_as_password(
    admin: "redis.Redis", valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_login, "time", SimpleNamespace(time=lambda: NOW))
    token = valkey_token(
        user=USER, cache=CACHE, region=REGION, credentials=Keys().current(), now=NOW
    )
    let_in(admin, password=token)
    async with logged_in(valkey_url, Keys()) as client:
        assert await client.call("ACL", "WHOAMI") == USER.encode()


async def test_valkey_login_gives_each_connection_its_own_token(
    admin: "redis.Redis", valkey_url: str
) -> None:
    let_in(admin)
    keys = Keys()
    async with logged_in(valkey_url, keys) as client:
        for count in range(1, 4):
            assert await client.call("ACL", "WHOAMI") == USER.encode()
            assert keys.asked == count
            hang_up(admin)


async def test_valkey_login_survives_closed_connections(
    admin: "redis.Redis", valkey_url: str
) -> None:
    let_in(admin)
    keys = Keys()
    answers = 0

    async def ask(client: Valkey) -> None:
        nonlocal answers
        for _ in range(50):
            assert await client.call("ACL", "WHOAMI") == USER.encode()
            answers += 1

    async with logged_in(valkey_url, keys) as client:
        asking = asyncio.gather(*(ask(client) for _ in range(20)))
        for due in range(100, 1000, 100):
            while answers < due:
                await asyncio.sleep(0)
            await asyncio.to_thread(hang_up, admin)
        await asking
    assert answers == 1000
    assert keys.asked >= 9


async def test_valkey_login_raises_unavailable_if_it_is_refused(
    admin: "redis.Redis", valkey_url: str
) -> None:
    let_in(admin, password="another")
    async with logged_in(valkey_url, Keys()) as client:
        with pytest.raises(UnavailableError, match="invalid username-password"):
            await client.call("PING")


async def test_valkey_login_follows_the_settings(admin: "redis.Redis", valkey_url: str) -> None:
    let_in(admin)
    settings = ValkeySettings(
        valkey_url=valkey_url, valkey_iam_user=USER, valkey_iam_cache=CACHE, aws_region=REGION
    )
    client = create_valkey(settings)
    assert await client.call("ACL", "WHOAMI") == USER.encode()
    await client.close()


@pytest.mark.parametrize("half", [{"valkey_iam_user": USER}, {"valkey_iam_cache": CACHE}])
def test_valkey_login_refuses_half_of_its_settings(half: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="AXON_VALKEY_IAM_USER and AXON_VALKEY_IAM_CACHE"):
        create_valkey(ValkeySettings(valkey_url="redis://127.0.0.1:1", **half))


class TestValkeyTls:
    @pytest.fixture
    async def authority(self, tmp_path: Path) -> Authority:
        return Authority.create(tmp_path)

    @pytest.fixture
    async def port(self, valkey_server: ValkeyServer, authority: Authority) -> AsyncIterator[int]:
        async with terminator(valkey_server.port, authority=authority) as port:
            yield port

    async def test_connects_to_a_trusted_server(
        self, port: int, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        async with valkey_client(f"rediss://localhost:{port}") as client:
            assert await client.call("ECHO", "x") == b"x"

    async def test_refuses_a_server_with_an_untrusted_certificate(self, port: int) -> None:
        async with valkey_client(f"rediss://localhost:{port}") as client:
            with pytest.raises(UnavailableError, match="unable to get local issuer certificate"):
                await client.call("PING")

    async def test_refuses_a_certificate_of_another_host(
        self, port: int, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        async with valkey_client(f"rediss://127.0.0.1:{port}") as client:
            with pytest.raises(UnavailableError, match=r"not valid for '127\.0\.0\.1'"):
                await client.call("PING")
