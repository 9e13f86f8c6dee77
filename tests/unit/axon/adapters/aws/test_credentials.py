import asyncio
import os
import subprocess
import sys
import threading

import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError

from axon.adapters.aws.credentials import FixedCredentials, RotatingCredentials
from axon.exceptions import SettingsError


class Source(Credentials):
    """Hands out a new key each time; can be made to fail, or to wait."""

    def __init__(self) -> None:
        super().__init__("key", "secret")
        self.asked = 0
        self.error: Exception | None = None
        self.open = threading.Event()
        self.open.set()

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        # Decided before it counts: the test may change `error` as soon as it sees the new count.
        error = self.error
        self.asked += 1
        assert self.open.wait(5)
        if error:
            raise error
        return ReadOnlyCredentials(f"key-{self.asked}", "secret", None)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Rotation:
    def __init__(self) -> None:
        self.source = Source()
        self.clock = Clock()
        self.credentials = RotatingCredentials(source=self.source, max_age_s=30, clock=self.clock)

    @property
    def key(self) -> str:
        key = self.credentials.current().access_key
        assert key is not None
        return key

    async def rotated(self, key: str) -> None:
        async with asyncio.timeout(5):
            while self.key != key:
                await asyncio.sleep(0.001)


async def test_rotating_credentials_are_cached() -> None:
    rotation = Rotation()
    assert [rotation.key for _ in range(3)] == ["key-1"] * 3
    rotation.clock.now = 29.9
    assert rotation.key == "key-1"
    assert rotation.source.asked == 1


async def test_rotating_credentials_are_refreshed_in_the_background() -> None:
    rotation = Rotation()
    rotation.source.open.clear()
    rotation.clock.now = 30
    assert [rotation.key for _ in range(3)] == ["key-1"] * 3
    rotation.source.open.set()
    await rotation.rotated("key-2")
    assert rotation.source.asked == 2


async def test_rotating_credentials_stay_in_use_while_they_cannot_be_refreshed() -> None:
    rotation = Rotation()
    rotation.source.error = BotoCoreError()
    rotation.clock.now = 30
    assert rotation.key == "key-1"
    async with asyncio.timeout(5):
        while rotation.source.asked < 2:
            await asyncio.sleep(0.001)
    rotation.source.error = None
    rotation.clock.now = 90
    await rotation.rotated("key-3")


def test_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert RotatingCredentials.from_session().current().access_key == "AKID"


def test_rotating_credentials_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SettingsError, match="AWS_ACCESS_KEY_ID"):
        RotatingCredentials.from_session()


ENVIRON = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}


class TestFixedCredentials:
    def test_credentials_come_from_the_environment(self) -> None:
        fixed = FixedCredentials.from_environ(ENVIRON | {"AWS_SESSION_TOKEN": "token"})
        assert fixed is not None
        assert fixed.current() == ("AKID", "secret", "token")

    def test_need_no_session_token(self) -> None:
        fixed = FixedCredentials.from_environ(ENVIRON | {"AWS_SESSION_TOKEN": ""})
        assert fixed == ("AKID", "secret", None)

    @pytest.mark.parametrize(
        "environ",
        [
            {},
            {"AWS_ACCESS_KEY_ID": "AKID"},
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "secret"},
            ENVIRON | {"AWS_CREDENTIAL_EXPIRATION": "2026-11-21T10:00:00Z"},
        ],
    )
    def test_are_none_if_a_key_is_missing_or_expires(self, environ: dict[str, str]) -> None:
        assert FixedCredentials.from_environ(environ) is None


def test_process_credentials_need_no_botocore_for_those_of_the_environment() -> None:
    script = (
        "import sys; from axon.adapters.aws.credentials import process_credentials as found;"
        "assert found().current() == ('AKID', 'secret', None); assert found() is found();"
        "sys.exit('botocore' in sys.modules)"
    )
    environ = ENVIRON | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], env=environ, check=True)
