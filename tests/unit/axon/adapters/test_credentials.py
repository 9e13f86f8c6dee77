import asyncio

import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import CredentialRetrievalError

from axon.adapters.credentials import RotatingCredentials
from axon.exceptions import SettingsError


class Source(Credentials):
    """Issues keys "1", "2", ...; may fail."""

    def __init__(self) -> None:
        super().__init__("AKID", "secret")
        self.issued = 0
        self.fails = False

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        if self.fails:
            raise CredentialRetrievalError(provider="role", error_msg="away")
        self.issued += 1
        return ReadOnlyCredentials("AKID", str(self.issued), None)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def refreshed(credentials: RotatingCredentials) -> str | None:
    """Ask, let the refresh end, and ask again."""
    credentials.current()
    if credentials._refreshing is not None:
        await asyncio.wait([credentials._refreshing])
    return credentials.current().secret_key


async def test_asks_the_source_anew_when_they_are_old() -> None:
    source, clock = Source(), Clock()
    credentials = RotatingCredentials(source=source, max_age_s=30, clock=clock)
    assert await refreshed(credentials) == "1"
    clock.now += 29
    assert await refreshed(credentials) == "1"
    clock.now += 1
    assert [credentials.current().secret_key for _ in range(5)] == ["1"] * 5
    assert await refreshed(credentials) == "2"
    assert source.issued == 2


async def test_the_old_ones_stay_when_there_are_no_new_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source, clock = Source(), Clock()
    credentials = RotatingCredentials(source=source, max_age_s=30, clock=clock)
    source.fails = True
    clock.now += 30
    assert await refreshed(credentials) == "1"
    assert "could not be refreshed" in caplog.text
    source.fails = False
    clock.now += 30
    assert await refreshed(credentials) == "2"


def test_come_from_where_every_client_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "one")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "two")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "three")
    found = RotatingCredentials.from_session().current()
    assert (found.access_key, found.secret_key, found.token) == ("one", "two", "three")


def test_without_any_the_process_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SettingsError, match="AWS_ACCESS_KEY_ID"):
        RotatingCredentials.from_session()
